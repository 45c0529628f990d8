-- The panel and what is set aside, from the view `events`, as one would write it by hand: no partitions, all in one go.
-- Parameters as text: {zone}, {last} (first day of the last month).
CREATE TEMP TABLE deals AS
SELECT event_id, event_type, occurred_at, product_id, category, unit_price_cents, quantity, order_id, customer_id,
       campaign, date_trunc('month', occurred_at AT TIME ZONE '{zone}')::DATE AS month
FROM events WHERE event_type IN ('purchase', 'return');

CREATE TEMP TABLE looks AS
SELECT product_id, date_trunc('month', occurred_at AT TIME ZONE '{zone}')::DATE AS month,
       count(*) FILTER (event_type = 'view') AS views, count(*) FILTER (event_type = 'cart') AS carts
FROM events WHERE event_type IN ('view', 'cart') GROUP BY ALL;

CREATE TEMP TABLE pairs AS
WITH found AS (
    SELECT r.event_id AS back, r.occurred_at AS moment, p.event_id AS bought, 1 AS way,
           row_number() OVER (PARTITION BY r.event_id ORDER BY p.occurred_at DESC, p.event_id DESC) AS place
    FROM deals r JOIN deals p ON p.product_id = r.product_id AND p.customer_id = r.customer_id
        AND p.quantity = r.quantity AND p.month = r.month
    WHERE r.event_type = 'return' AND p.event_type = 'purchase'
        AND p.occurred_at BETWEEN r.occurred_at - INTERVAL 24 HOUR AND r.occurred_at
    UNION ALL
    SELECT r.event_id, r.occurred_at, p.event_id, 2,
           row_number() OVER (PARTITION BY r.event_id ORDER BY p.occurred_at DESC, p.event_id DESC)
    FROM deals r JOIN deals p ON p.product_id = r.product_id AND p.order_id = r.order_id
        AND p.quantity = r.quantity AND p.month = r.month
    WHERE r.event_type = 'return' AND p.event_type = 'purchase'
        AND p.occurred_at BETWEEN r.occurred_at - INTERVAL 24 HOUR AND r.occurred_at
)
SELECT back, bought FROM found WHERE place = 1
QUALIFY row_number() OVER (PARTITION BY bought, way ORDER BY moment, back) = 1;

CREATE TEMP TABLE cancelled AS
SELECT DISTINCT unnest([back, bought]) AS event_id FROM pairs;

CREATE TEMP TABLE giants AS
WITH p AS (
    SELECT event_id, product_id, month, quantity FROM deals ANTI JOIN cancelled USING (event_id)
    WHERE event_type = 'purchase'
),
few AS (  -- the 99.9th percentile is at least 1, and at most one in a thousand is above it
    SELECT *, quantity AS q, count(*) OVER (PARTITION BY product_id) AS n,
           row_number() OVER (PARTITION BY product_id, month ORDER BY quantity DESC) AS place
    FROM p SEMI JOIN (SELECT product_id FROM p WHERE quantity > 20) USING (product_id)
)
SELECT s.event_id
FROM few s JOIN p o ON o.product_id = s.product_id AND o.month <= s.month AND o.event_id <> s.event_id
WHERE s.q > 20 AND s.place <= s.n / 1000 + 1
GROUP BY s.event_id, s.q
HAVING count(*) >= 30
   AND s.q > 20 * list_sort(list(o.quantity))[ceil(0.999 * (count(*) - 1))::INT + 1];

CREATE TEMP TABLE aside AS
SELECT event_id, 'cancelled_within_24_hours' AS reason FROM cancelled
UNION ALL SELECT event_id, 'giant_order' FROM giants;

CREATE TEMP TABLE learned AS
SELECT * FROM deals ANTI JOIN aside USING (event_id);

CREATE TEMP TABLE panel AS
WITH p AS (SELECT * FROM learned WHERE event_type = 'purchase'),
r AS (SELECT * FROM learned WHERE event_type = 'return'),
sold AS (SELECT * FROM p WHERE month <= DATE '{last}'),
spine AS (
    SELECT product_id, unnest(generate_series(min(month), DATE '{last}', INTERVAL 1 MONTH))::DATE AS month
    FROM sold GROUP BY product_id
),
orders AS (
    SELECT product_id, month, count(*) AS orders, max(units) AS largest_order FROM (
        SELECT product_id, month, sum(quantity)::BIGINT AS units FROM sold
        GROUP BY product_id, month, order_id, CASE WHEN order_id IS NULL THEN event_id END
    ) GROUP BY ALL
),
sales AS (
    SELECT product_id, month, sum(quantity)::BIGINT AS units, sum(quantity * unit_price_cents)::BIGINT AS revenue_cents,
           count(DISTINCT customer_id) AS buyers,
           count(DISTINCT (occurred_at AT TIME ZONE '{zone}')::DATE) AS active_days,
           sum(quantity) FILTER (campaign IS NOT NULL) AS campaign_units,
           arg_max(category, (occurred_at, event_id)) FILTER (category <> 'unknown') AS category
    FROM sold GROUP BY ALL
),
received AS (SELECT product_id, month, sum(quantity)::BIGINT AS returns_received FROM r GROUP BY ALL),
by_order AS (
    SELECT product_id, order_id, min(month) AS order_month FROM p SEMI JOIN r USING (product_id, order_id)
    GROUP BY ALL
),
by_customer AS (
    SELECT product_id, customer_id, occurred_at, month AS customer_month
    FROM p SEMI JOIN r USING (product_id, customer_id)
),
booked AS (
    SELECT r.product_id, coalesce(order_month, customer_month, r.month) AS month,
           sum(r.quantity)::BIGINT AS returned_units
    FROM r LEFT JOIN by_order USING (product_id, order_id)
    ASOF LEFT JOIN by_customer c
        ON c.product_id = r.product_id AND c.customer_id = r.customer_id AND c.occurred_at <= r.occurred_at
    GROUP BY ALL
)
SELECT s.product_id,
       coalesce(last_value(category IGNORE NULLS) OVER (PARTITION BY s.product_id ORDER BY s.month), 'unknown')
           AS category,
       s.month, coalesce(units, 0) AS units, coalesce(returned_units, 0) AS returned_units,
       coalesce(returns_received, 0) AS returns_received, coalesce(revenue_cents, 0) AS revenue_cents,
       revenue_cents / units AS mean_price_cents, coalesce(orders, 0) AS orders, coalesce(buyers, 0) AS buyers,
       coalesce(views, 0) AS views, coalesce(carts, 0) AS carts, coalesce(largest_order, 0) AS largest_order,
       coalesce(active_days, 0) AS active_days, coalesce(campaign_units / units, 0.0)::DOUBLE AS campaign_share
FROM spine s
LEFT JOIN sales USING (product_id, month) LEFT JOIN orders USING (product_id, month)
LEFT JOIN looks USING (product_id, month) LEFT JOIN received USING (product_id, month)
LEFT JOIN booked USING (product_id, month);
