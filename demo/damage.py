"""The harder accident: wrong numbers are noticed after people went on working. Diff, merge, undo."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from demo import shop
from demo.story import Story, say, table

TABLE = "meta_import_data"
CORRECTED = 12.34


class _Seen(NamedTuple):
    """What people would look at: the damaged campaign's spend, a corrected row of another one, and rows in all."""

    spend: str
    corrected: int
    rows: int


def tell(story: Story, live: shop.Connection, days: tuple[date, date]) -> None:
    """A campaign's spend is halved, work goes on, and only the damage is taken back."""
    campaign, other = _campaigns(live, days)
    story.step("A harder one: a script halves a campaign's spend, the next backup has it, and people go on working")
    good, before = story.document("show", "latest")["id"], _look(live, campaign)
    _write(
        story,
        live,
        f"UPDATE {TABLE} SET amount_spent = amount_spent / 2 WHERE campaign_name = '{campaign}'"
        f" AND day BETWEEN '{days[0]}' AND '{days[1]}'",
    )
    story.command("backup", "--incremental", "--reason", "hourly")
    damaged = story.document("show", "latest")["id"]
    _write(
        story,
        live,
        f"UPDATE {TABLE} SET amount_spent = {CORRECTED} WHERE id = (SELECT min(id) FROM {TABLE}"
        f" WHERE campaign_name = '{other}' AND day BETWEEN '{days[0]}' AND '{days[1]}')",
    )
    _write(story, live, f"INSERT INTO {TABLE} (day, campaign_name) VALUES ('{days[1]}', 'entered after the damage')")
    wrong = _look(live, campaign)
    story.step("What happened? The difference between the two backups, in rows and in money")
    story.command("diff", good, damaged, "--table", TABLE)
    story.step("Only the damage goes back: a merge keeps what was entered since")
    merge = ("restore", good, "--to", "source", "--table", TABLE, "--in-place", "--on-conflict", "merge")
    merge += ("--base", damaged, "--reason", "spend halved by a script")
    token = story.document(*merge, "--dry-run")["token"]
    restored = story.document(*merge, "--plan", token)["id"]
    story.command("restores", restored)
    merged = _look(live, campaign)
    story.promise(merged == wrong._replace(spend=before.spend), "the merge did more or less than take back the damage")
    story.step("And even that can be undone")
    story.command("undo", restored, "--reason", "to show that it can be")
    undone = _look(live, campaign)
    story.promise(undone == wrong, "the undo did not bring back what the restore had replaced")
    seen = (("before", before), ("damaged", wrong), ("merged", merged), ("undone", undone))
    table(("", f"spend of {campaign}", "corrected rows", "rows"), [(when, *look) for when, look in seen])


def _campaigns(live: shop.Connection, days: tuple[date, date]) -> tuple[str, str]:
    """Two campaigns of those days, the bigger spender first."""
    query = f"SELECT campaign_name FROM {TABLE} WHERE day BETWEEN %s AND %s GROUP BY 1 ORDER BY sum(amount_spent) DESC"
    found: list[tuple[Any, ...]] = live.execute(f"{query} LIMIT 2".encode(), days).fetchall()
    return found[0][0], found[1][0]


def _look(live: shop.Connection, campaign: str) -> _Seen:
    query = (
        f"SELECT sum(amount_spent) FILTER (WHERE campaign_name = %s)::text,"
        f" count(*) FILTER (WHERE amount_spent = {CORRECTED}), count(*) FROM {TABLE}"
    )
    [row] = live.execute(query.encode(), [campaign]).fetchall()
    return _Seen(*row)


def _write(story: Story, live: shop.Connection, statement: str) -> None:
    story.sql(statement)
    changed = live.execute(statement.encode()).rowcount
    say(f"   {changed:,} rows")
    story.promise(changed > 0, "nothing was written")
