"""A hundred more venues through ccxt (extra `venues`): slower than a native adapter, with fewer certainties, by the same rules."""
