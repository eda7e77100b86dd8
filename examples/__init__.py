"""Programs to start from; each is run by the tests in tests/examples.

basic_scalping.py drives `engine.UltraScalpingEngine` on a few ticks; advanced_strategies.py is a
strategy of a user's own, registered by `signals.user_strategies=examples.advanced_strategies`.
"""
