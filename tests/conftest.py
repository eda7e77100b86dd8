"""Settings of all tests: property tests draw the same examples in every run."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The machine is shared: a slow moment is no failure. A seed of one's own finds new examples:
# pytest -p no:cacheprovider --hypothesis-seed=… --hypothesis-profile=explore
settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")
