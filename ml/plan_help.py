"""What `python -m ml plan --help` teaches."""

from typing import Final

PLAN: Final = """\
Take planned prices, promotions and advertising of products into the lake; 1 if no row could be taken.

FILE has one row per product and month:

  product_id,month,price,promotion,advertising
  85123A,2026-12,4.90,yes,1200
  22423,2026-12,12.50,no,

  price        above 0, in currency units; a column price_cents is in cents
  promotion    0 to 1, or yes and no
  advertising  for the month, in currency units; advertising_cents in cents

Any of the three may be missing; an empty cell is not planned. Other usual names of columns are understood, `columns`
says how. A row replaces the whole plan of its product and month, the newest import wins, the same file again
changes nothing. Rows that cannot be taken are in `refused` by reason, the first in `refused_rows`:

  no_product, no_month, not_a_number      the cell is empty or says something else
  impossible_price, _promotion, _advertising
  nothing_planned                         none of the three
  unknown_product                         not in the panel
  month_over                              complete in the panel; --past takes it, as it was planned then
  before_the_first_month, too_far_ahead   of the panel; more than 36 months after it
  conflicting_row, duplicate_row          two plans for one product and month (none is taken); the same row again

What a plan does is learned from months that had one: begin with the last two years of plans and --past, then
`train`. Later `forecast` uses the plan of the month to forecast, so import it before.
"""
