"""Which month's sales a return takes back."""

import polars as pl


def booked_returns(purchases: pl.LazyFrame, returns: pl.LazyFrame) -> pl.LazyFrame:
    """Units by `product_id` and `month` of the purchase they belong to, as `returned_units`.

    A return belongs to the first purchase of the product in its order; else to the latest purchase of the
    product by its customer at or before it; else it stays in its own month.

    Args:
        purchases: `occurred_at`, `product_id`, `order_id`, `customer_id`, `month`.
        returns: The same columns and `quantity`.
    """
    by_order = (
        purchases.join(returns, on=["order_id", "product_id"], how="semi")
        .group_by("order_id", "product_id")
        .agg(pl.col("month").min().alias("order_month"))
    )
    by_customer = (
        purchases.join(returns, on=["product_id", "customer_id"], how="semi")
        .select("product_id", "customer_id", "occurred_at", pl.col("month").alias("customer_month"))
        .sort("occurred_at")
    )
    matched = returns.join(by_order, on=["order_id", "product_id"], how="left").sort("occurred_at")
    matched = matched.join_asof(
        by_customer,
        on="occurred_at",
        by=["product_id", "customer_id"],
        strategy="backward",
        check_sortedness=False,
    )
    booked = pl.coalesce("order_month", "customer_month", "month").alias("month")
    return matched.group_by("product_id", booked).agg(pl.col("quantity").sum().alias("returned_units"))
