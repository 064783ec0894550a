"""The hints of the table: what to do about a refusal. Braces hold fields of the case."""

from __future__ import annotations

# Tools.
OLD_TOOL = "install a newer version: this one lacks the option"
LOGIN_FILE = "repair the auth file or the credential helper that is named here"
OPEN_FILES = "raise the limit of open files (ulimit -n), or lower -j"
FILES = "check the files that are named here"
UNSUITABLE = "this looks like a bug in image-tools: run again with --debug and report it"
ZSTD = "skopeo cannot parse Docker manifests with zstd layers; crane and regctl can copy them"
UNSUPPORTED = "the registry does not support this operation: it may be a read-only mirror"

# The way to the registry.
PROXY_LOGIN = "the proxy requires authentication"
PROXY = "check HTTP_PROXY and HTTPS_PROXY, or name {host} in NO_PROXY to reach it without the proxy"
NO_REGISTRY = "check the address, and check for a proxy or a login page on the way to the registry"
SILENT = (
    "check the network and the firewalls between here and {registry}; on a slow connection raise"
    " --timeout"
)
REFUSED = "check that the registry is running on {host}, and that the port is right"
NO_ROUTE = "check the address of {host}, and the routes and firewalls (or the VPN) on the way"
NO_NETWORK = "check that this machine is connected to the network (or the VPN) of {host}"
NAME = "check the spelling of {host}, and this machine's DNS (getent hosts {host})"
CLOCK = "check this machine's clock, then the validity of the certificate of {host}"
EXPIRED = "renew the certificate on {host}; check this machine's clock too"
CLIENT_CERTIFICATE = (
    "certs.d folders: /etc/containers/certs.d/{registry}, ~/.config/containers/certs.d/{registry}"
)
PLAIN = "allow plain HTTP with --tls-verify=false (or --src-tls-verify, --dest-tls-verify)"
TOO_LARGE = "raise the limit of the proxy in front of the registry (nginx: client_max_body_size)"

# Pushes.
PUSH_RATE = "the destination limits pushes: wait and run again, or lower -j"
QUOTA = "free space in {project} at {registry}, or raise its quota"
READ_ONLY = "turn off the read-only mode of {registry}/{project}, or push somewhere else"
IMMUTABLE = "write another tag, or have the rule lifted that makes this one immutable"
TYPE = "allow {media_type} at the registry, or push to one that accepts it"
REPOSITORIES = "delete repositories at the destination, or have its limit of repositories raised"
IMAGES = "delete images from {registry}/{repository}, or have its limit of images raised"
REGISTRY_READ_ONLY = "turn off the read-only mode of {registry}, or wait until it is over"
NO_PUSHES = (
    "{registry} takes no pushes here: turn off its read-only mode, or push to a registry that is"
    " no mirror or pull-through cache"
)
GROUP = "push to the hosted repository behind the group, at its own address"
OVERWRITE = "give the account the permission to overwrite (Artifactory: Delete/Overwrite)"
LOCKED = (
    "unlock it (az acr repository update --name REGISTRY --image {repository}:TAG --write-enabled"
    " true), or free storage if the registry is full (az acr show-usage)"
)
FOREIGN = (
    "allow these URLs at the registry (docker-registry: validation.manifests.urls.allow), or use an"
    " image without such layers"
)
VANISHED = "a layer vanished at the destination: run again, it is uploaded again"
MANIFEST = (
    "the registry may not support {media_type}, or something in this manifest; if another registry"
    " refuses it too, the image is broken at the source"
)
PROJECT_POLICY = (
    "ask an administrator of the project to allow the image (Harbor: the project's vulnerability"
    " and signature policies, CVE allowlist)"
)

DELETING = (
    "have it turned on at the registry (docker-registry: storage.delete.enabled), or delete with"
    " the registry's own tools"
)

# Where a push does not create a repository: the host, and the command that creates one.
CREATING = (
    (
        r"\.dkr\.ecr(?:-fips)?\.(?P<region>[\w-]+)\.amazonaws\.com(?:\.cn)?$",
        "create it: aws ecr create-repository --repository-name {repository} --region {region}",
    ),
    (
        r"^public\.ecr\.aws$",
        "create it: aws ecr-public create-repository --repository-name {image} --region us-east-1",
    ),
    (
        r"^(?P<location>[\w-]+)-docker\.pkg\.dev$",
        "create it: gcloud artifacts repositories create {second} --repository-format=docker"
        " --location={location} --project={project}",
    ),
    ("", "create the project or the repository {repository} at {registry} first"),
)

# The media type that is refused, and what has to be set for it.
TYPES = (
    (
        r"vnd\.docker\.",
        'have Docker media types allowed (zot: http.compat: ["docker2s2"]), or copy from a source'
        " that offers the image with OCI types",
    ),
    (
        r"vnd\.oci\.image\.index",
        "update the registry, or copy from a source that offers the image as a Docker manifest list"
        " (SWR and other older registries store no OCI indexes)",
    ),
    ("", TYPE),
)
