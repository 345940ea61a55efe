"""The mock exchange's USD-M futures: perpetuals on a market of their own, margin accounts, and the wire of `/fapi`."""
