"""What a quoter may look at."""

from __future__ import annotations


class QuoteContext:
    """Filled anew for every quote: one object per symbol, so that the hot path allocates little.

    Prices in ticks, sizes in lots. `inventory` is position ÷ limit in [-1, 1]; `budget_left` the unused share of the loss budget.
    """

    __slots__ = (
        "ask_lots", "ask_ticks", "bid_lots", "bid_ticks", "budget_left", "buy_room_lots", "inventory", "reach_ticks",
        "sell_room_lots", "sigma_ticks", "size_share", "skew_sigma_ticks",
    )  # fmt: skip

    def __init__(
        self,
        bid_ticks: int = 0,
        bid_lots: int = 0,
        ask_ticks: int = 0,
        ask_lots: int = 0,
        inventory: float = 0.0,
        budget_left: float = 1.0,
        buy_room_lots: int = 0,
        sell_room_lots: int = 0,
        sigma_ticks: float = 0.0,
        skew_sigma_ticks: float = 0.0,
        size_share: float = 1.0,
        reach_ticks: float = 0.0,
    ) -> None:
        self.bid_ticks = bid_ticks
        self.bid_lots = bid_lots
        self.ask_ticks = ask_ticks
        self.ask_lots = ask_lots
        self.inventory = inventory
        self.budget_left = budget_left
        self.buy_room_lots = buy_room_lots
        """Lots that could be bought before the position limit."""
        self.sell_room_lots = sell_room_lots
        self.sigma_ticks = sigma_ticks
        """Trailing mid volatility over the network's horizon, in ticks."""
        self.skew_sigma_ticks = skew_sigma_ticks
        """The same over the skew's horizon."""
        self.size_share = size_share
        """What the risk network leaves of the size."""
        self.reach_ticks = reach_ticks
        """How far from the mid trades get now and then (`TradeReach`), in ticks; 0 where that is not known."""

    def with_sigma(self, sigma_ticks: float) -> QuoteContext:
        """The same with another volatility over the network's horizon."""
        return QuoteContext(
            self.bid_ticks,
            self.bid_lots,
            self.ask_ticks,
            self.ask_lots,
            self.inventory,
            self.budget_left,
            self.buy_room_lots,
            self.sell_room_lots,
            sigma_ticks,
            self.skew_sigma_ticks,
            self.size_share,
            self.reach_ticks,
        )

    @property
    def microprice_ticks(self) -> float:
        """Touch prices weighted by the opposite side's size (Stoikov's weighted mid), in ticks."""
        total = self.bid_lots + self.ask_lots
        return (self.bid_ticks * self.ask_lots + self.ask_ticks * self.bid_lots) / total if total else self.mid_ticks

    @property
    def mid_ticks(self) -> float:
        """Mid price in ticks (half ticks occur)."""
        return 0.5 * (self.bid_ticks + self.ask_ticks)
