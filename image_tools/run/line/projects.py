"""What has to be there before the first byte of an image: its project, at registries with such."""

from __future__ import annotations

from loguru import logger

from image_tools.run.line.job import Job
from image_tools.stores.harbor import Harbor


async def ensure_project(job: Job) -> None:
    """Nothing once the destination's project exists; raises why it could not be created."""
    store = job.end.store
    if isinstance(store, Harbor) and await store.ensure_project(job.destination.name):
        project = job.destination.name.partition("/")[0]
        logger.info("{}/{}: the project was missing and is created", store.name, project)
