"""The fast speed: what the market alone decides is worked out once and kept, and the rest runs compiled.

The formulas are the live path's own functions, compiled; state machines follow the live ones' tables. Exact runs are the reference:
orders of both are compared one by one in the tests.
"""
