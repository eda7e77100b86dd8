"""Configuration of the system: knobs, their files, and the loader.

Every knob is one row of a table (`config.knobs`): type, unit, default, bounds and meaning. The YAML
files, their comments, the typed settings and docs/CONFIGURATION.md are generated from these rows.

    from config.loader import load

    settings = load(overrides=["trading.leverage=5"])
    settings.trading.leverage  # 5

Secrets are not settings: `config.environment.load_credentials` returns them to the one caller
that signs orders. The package needs PyYAML and the standard library, nothing else, because the
supervisor keeps it in memory.
"""
