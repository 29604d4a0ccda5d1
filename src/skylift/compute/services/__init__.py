"""Service integrations: Task states that name a service's action instead of a function."""

from skylift.compute.services.backend import ServicesBackend
from skylift.compute.services.policy import ServicePolicy

__all__ = ["ServicePolicy", "ServicesBackend"]
