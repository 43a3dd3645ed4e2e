"""hitloop.eval.injectors."""

from sayso.lab import ErrorInjector, InjectionConfig, InjectionResult, InjectionType

__all__ = ["ErrorInjector", "InjectionConfig", "InjectionResult", "InjectionType"]
