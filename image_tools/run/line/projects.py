"""What has to be there before the first byte of an image: its project, at registries with such."""

from __future__ import annotations

from loguru import logger

from image_tools.run.line.job import Job


async def ensure_project(job: Job) -> None:
    """Nothing once the destination's project exists; raises why it could not be created."""
    projects = job.end.store.abilities.projects
    if projects is not None and await projects.ensure_project(job.destination.name):
        place = f"{job.end.store.name}/{job.destination.name.partition('/')[0]}"
        logger.info("{}: the project was missing and is created", place)
