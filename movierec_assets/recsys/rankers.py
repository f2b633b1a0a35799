"""Names of the rankers in reports.

Belongs here: names only, so that showing them loads no ranker. Does not: the rankers (`als`, `baselines`).
"""

MODEL = "als"
"""The recipe that is reported on: the challenger's, or the one that a search found."""
WITHOUT_SIGNAL = "als, without the next-movie signal"
"""The same fit, without the part of the score that depends on the order of likes."""
CHAMPION = "champion"
"""The champion's recipe beside a challenger."""
POPULARITY, ITEM_KNN, ORIGINAL, EASE = "popularity", "item-kNN", "original recipe", "EASE"
