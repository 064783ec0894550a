"""Copy container images between registries and archives with skopeo and docker buildx."""

__version__ = "0.1.0"
