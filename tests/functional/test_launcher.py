from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FAKE_PYTHON = """#!/bin/sh
printf '%s\\n' python "$@"
cat
"""
FAKE_VENV = """#!/bin/sh
echo installing
cat
mkdir -p "{root}/.venv/bin"
cp "{root}/python" "{root}/.venv/bin/python"
echo "{root}" >"{root}/.venv/.installed"
"""
# Stands for the system's Python: makes an environment whose pip takes its time and keeps a diary.
FAKE_SYSTEM_PYTHON = """#!/bin/sh
case $* in
*{broken}*) exit 1 ;;
"-m venv --clear .venv")
    mkdir -p .venv/bin
    cp pip .venv/bin/python
    ;;
*) exec {python} "$@" ;;
esac
"""
FAKE_PIP = """#!/bin/sh
case $* in *install*) sleep 0.3; echo "$@" >>diary ;; esac
"""


def write_script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def run(
    *argv: str | Path, text: str = "", cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        input=text,
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of the real launcher; its Python and its installer only say what they got."""
    root = tmp_path.resolve() / "check out"
    (root / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "bin/image-tools", root / "bin/image-tools")
    (root / "image-tools").symlink_to("bin/image-tools")
    (root / "setup.cfg").touch()
    os.utime(root / "setup.cfg", (1_000_000_000, 1_000_000_000))
    write_script(root / "python", FAKE_PYTHON)
    write_script(root / "scripts/venv", FAKE_VENV.format(root=root))
    return root


@pytest.fixture
def installed(checkout: Path) -> Path:
    write_script(checkout / ".venv/bin/python", FAKE_PYTHON)
    (checkout / ".venv/.installed").write_text(f"{checkout}\n")
    return checkout


def test_launcher_installed_passes_arguments_and_input(installed: Path) -> None:
    done = run(installed / "image-tools", "mirror", "-f", "a b", "", text="a list\n")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "python\n-I\n-m\nimage_tools\nmirror\n-f\na b\n\na list\n"


def test_launcher_through_links_finds_its_checkout(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "absolute").symlink_to(installed / "image-tools")
    (tmp_path / "relative").symlink_to("absolute")

    done = run("./relative", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


def test_launcher_as_argument_of_sh_finds_its_checkout(installed: Path) -> None:
    done = run("sh", "image-tools", cwd=installed)

    assert (done.returncode, done.stderr) == (0, "")


def test_launcher_first_start_installs_beside_stdout_and_stdin(checkout: Path) -> None:
    done = run(checkout / "image-tools", "version", text="a list\n")

    assert done.returncode == 0
    assert done.stderr == "installing\n"
    assert done.stdout == "python\n-I\n-m\nimage_tools\nversion\na list\n"


def test_launcher_second_start_installs_nothing(checkout: Path) -> None:
    run(checkout / "image-tools")

    assert run(checkout / "image-tools").stderr == ""


def test_launcher_newer_requirements_are_installed(installed: Path) -> None:
    os.utime(installed / "setup.cfg", (4_000_000_000, 4_000_000_000))

    assert run(installed / "image-tools").stderr == "installing\n"


def test_launcher_copied_checkout_is_installed_anew(installed: Path) -> None:
    (installed / ".venv/.installed").write_text("/somewhere/else\n")

    assert run(installed / "image-tools").stderr == "installing\n"


def test_launcher_failed_installation_starts_nothing(checkout: Path) -> None:
    write_script(checkout / "scripts/venv", "#!/bin/sh\necho why >&2\nexit 3\n")

    done = run(checkout / "image-tools")

    assert (done.returncode, done.stdout, done.stderr) == (3, "", "why\n")


def test_launcher_modules_of_current_folder_are_never_imported(
    checkout: Path, tmp_path: Path
) -> None:
    venv.create(checkout / ".venv", with_pip=False, symlinks=True)
    (packages,) = (checkout / ".venv/lib").glob("python*/site-packages")
    (packages / "checkout.pth").write_text(f"{checkout}\n")
    (checkout / ".venv/.installed").write_text(f"{checkout}\n")
    write_script(
        checkout / "image_tools/__main__.py", "import json\nprint('ours', json.dumps(1))\n"
    )
    for name in ("image_tools/__main__.py", "image_tools/__init__.py", "json.py"):
        write_script(tmp_path / "trap" / name, "raise RuntimeError('trapped')\n")

    done = run(checkout / "image-tools", cwd=tmp_path / "trap", PYTHONPATH=str(tmp_path / "trap"))

    assert (done.stdout, done.stderr) == ("ours 1\n", "")


@pytest.fixture
def bare(checkout: Path, tmp_path: Path) -> Path:
    """The checkout with the real installer, and a folder of programs with no Python in it."""
    shutil.copy(ROOT / "scripts/venv", checkout / "scripts/venv")
    write_script(checkout / "pip", FAKE_PIP)
    (tmp_path / "programs").mkdir()
    for name in ("sh", "cat", "cp", "dirname", "echo", "mkdir", "mv", "chmod", "readlink", "sleep"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / "programs" / name).symlink_to(found)
    return checkout


def write_system_python(folder: Path, broken: str) -> None:
    script = FAKE_SYSTEM_PYTHON.format(broken=broken, python=sys.executable)
    write_script(folder / "python3", script)


def test_venv_two_first_starts_at_once_install_once(bare: Path, tmp_path: Path) -> None:
    write_system_python(tmp_path / "programs", broken="nothing")
    environment = {**os.environ, "PATH": str(tmp_path / "programs")}

    starts = [
        subprocess.Popen(
            [bare / "scripts/venv"], env=environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = sorted(start.communicate(timeout=60)[1] for start in starts)

    assert [start.returncode for start in starts] == [0, 0]
    line = f"image-tools: first start, installing Python packages into {bare}/.venv ...\n"
    assert said == ["", line]
    assert len((bare / "diary").read_text().splitlines()) == 1


def test_venv_with_extra_serves_the_launcher_too(bare: Path, tmp_path: Path) -> None:
    write_system_python(tmp_path / "programs", broken="nothing")
    path = str(tmp_path / "programs")

    first = run(bare / "scripts/venv", "dev", PATH=path)
    second = run(bare / "image-tools", PATH=path)

    assert (first.returncode, second.returncode, second.stderr) == (0, 0, "")
    assert (bare / "diary").read_text().rstrip().endswith("--editable .[dev]")


@pytest.mark.parametrize(
    ("broken", "advice"),
    [
        pytest.param("version_info", "Python 3.10 or newer is needed", id="too-old"),
        pytest.param("ensurepip", "sudo apt-get install python3-venv", id="no-venv"),
    ],
)
def test_venv_unusable_python_says_what_to_install(
    bare: Path, tmp_path: Path, broken: str, advice: str
) -> None:
    write_system_python(tmp_path / "programs", broken)

    done = run(bare / "image-tools", PATH=str(tmp_path / "programs"))

    assert (done.returncode, done.stdout) == (3, "")
    assert advice in done.stderr


def test_venv_failed_installation_is_tried_again(bare: Path, tmp_path: Path) -> None:
    write_system_python(tmp_path / "programs", broken="nothing")
    path = str(tmp_path / "programs")
    write_script(bare / ".venv/bin/python", "#!/bin/sh\ncase $* in *install*) exit 1 ;; esac\n")

    done = run(bare / "scripts/venv", PATH=path)

    assert done.returncode == 3
    assert not (bare / ".venv/.installed").exists()
