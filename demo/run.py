"""`make demo`: back up, lose data, restore it, prove it, with the real commands and their real output."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import Any

from demo import damage, shop
from demo.exports import Export
from demo.place import Place
from demo.processes import run_dagster
from demo.story import Story, say, table
from moi_backup.errors import UsageError
from moi_backup.postgres.embedded import EmbeddedServer
from moi_backup.settings import EMBEDDED_DATABASE

EMPTY_DATABASE = "moi_recovered"
LOOK = ("table", "rows", "sum", "md5 of all rows")


def run(place: Place, *, rows: int) -> None:
    """The whole story; raises PromiseBrokenError as soon as a step is not as promised."""
    _refuse_own_data(place)
    place.claim()
    with place.alone():
        _tell(Story(), place, rows=rows)


def _tell(story: Story, place: Place, *, rows: int) -> None:
    began = time.monotonic()
    story.step("A private Postgres, and the application's tables filled from 14 months of CSV exports")
    server = place.prepare()
    say(f"   database {EMBEDDED_DATABASE} of the embedded server, made anew for each demo; state in {place.state}")
    shop.make_anew(server, EMBEDDED_DATABASE)
    uploads = shop.exports(place.state / "exports", rows=rows)
    newest = max(upload.last_day.replace(day=1) for upload in uploads)
    earlier = [upload for upload in uploads if upload.last_day < newest]
    with shop.connect(server) as live:
        with shop.filling(live):
            for name, gained in shop.load(live, earlier).items():
                say(f"   {name}: {gained:,} rows")
        _back_up(story, place, live, [upload for upload in uploads if upload.last_day >= newest])
        week = (newest - timedelta(days=14), newest - timedelta(days=8))
        before = {name: shop.look(live, name) for name in shop.TABLES}
        _accident(story, live, week, before)
        _restore(story, live, week)
        _prove(story, live, before)
        day = shop.busiest_day(live, "meta_import_data", days=week)
        _restore_in_dagster(story, place, server, live, day)
        _everything(story, server, before)
        damage.tell(story, live, week)
    say(f"\nAll promises kept, in {time.monotonic() - began:.0f} s.")
    say("Next: `make up` starts the platform and prints the address of the Dagster UI, with these backups in it:")
    say("   Assets > meta_import_data_snapshot shows the days; meta_import_data_restored > Materialize restores one.")
    say("`make down` stops everything, `make clean` removes it.")


def _refuse_own_data(place: Place) -> None:
    if place.own_source or place.has_own_repository or place.settings.configuration.file is not None:
        raise UsageError(
            "The demo deletes and changes rows, so it runs on its own data only.",
            meaning="MOI_SOURCE_URL, MOI_REPOSITORY or a moi.toml says that you have data of your own here.",
            remedy="Unset them (and move moi.toml away) to see the demo, or use `make up` and the CLI with your data.",
        )


def _back_up(story: Story, place: Place, live: shop.Connection, new_uploads: list[Export]) -> None:
    story.step("A full backup")
    if not (place.settings.repository.path / "repository.json").exists():
        story.command("init")
    story.command("backup", "--full", "--reason", "demo")
    story.step("New uploads arrive, a row is corrected, another deleted; an incremental backup costs what changed")
    for name, gained in shop.load(live, new_uploads).items():
        say(f"   {name}: {gained:,} new rows")
    for statement in (
        "UPDATE google_import_data SET cost = cost + 100 WHERE id = (SELECT min(id) FROM google_import_data)",
        "DELETE FROM shopify_import_data WHERE id = (SELECT min(id) FROM shopify_import_data)",
    ):
        story.sql(statement)
        changed = live.execute(statement.encode()).rowcount
        story.promise(changed == 1, f"{changed} rows changed")
    story.command("backup", "--incremental", "--reason", "after the upload")
    full, newest = story.document("show", "latest-full"), story.document("show", "latest")
    share = newest["bytes_written"] / full["bytes_written"]
    say(f"   the incremental wrote {newest['bytes_written']:,} bytes, {share:.0%} of what the full backup wrote")
    story.promise(0 < share < 0.5, "the incremental did not cost what changed")
    story.command("backups")


def _accident(story: Story, live: shop.Connection, week: tuple[date, date], before: dict[str, shop.Look]) -> None:
    story.step("An accident: a week of Meta rows is deleted, and Google's costs are overwritten without a WHERE")
    for statement in (
        f"DELETE FROM meta_import_data WHERE day BETWEEN '{week[0]}' AND '{week[1]}'",
        "UPDATE google_import_data SET cost = 0",
    ):
        story.sql(statement)
        say(f"   {live.execute(statement.encode()).rowcount:,} rows")
    after = {name: shop.look(live, name) for name in shop.TABLES}
    table(("", *LOOK), [*_rows("before", before), *_rows("now", after)])
    story.promise(after["meta_import_data"].rows < before["meta_import_data"].rows, "no Meta row was lost")
    story.promise(after["google_import_data"].total != before["google_import_data"].total, "no cost was overwritten")


def _restore(story: Story, live: shop.Connection, week: tuple[date, date]) -> None:
    place = ("--to", "source", "--in-place", "--on-conflict", "replace")
    days = f"{week[0]}..{week[1]}"
    story.step("The week comes back: first what would be done, then it is done, read back and compared")
    meta = ("restore", "latest", "--table", "meta_import_data", "--days", days, *place, "--reason", "week deleted")
    story.command(*meta, "--dry-run")
    lost = shop.look(live, "meta_import_data")
    story.command(*meta)
    story.promise(shop.look(live, "meta_import_data").rows > lost.rows, "no row came back")
    story.step("The whole Google table comes back")
    story.command("restore", "latest", "--table", "google_import_data", *place, "--reason", "costs overwritten")


def _prove(story: Story, live: shop.Connection, before: dict[str, shop.Look]) -> None:
    story.step("The proof, by other means than ours: Postgres' own count, sum and md5 over every row")
    after = {name: shop.look(live, name) for name in shop.TABLES}
    table(("", *LOOK), [*_rows("before", before), *_rows("restored", after)])
    story.promise(after == before, "a table is not what it was before the accident")
    story.step("The proof by ours: a new full backup reads every live row, and its digests are those of before")
    earlier = story.document("show", "latest")
    story.command("backup", "--full", "--reason", "after the restores")
    later = story.document("show", "latest")
    table(("", "table", "digest of all rows"), [*_digests("before", earlier), *_digests("restored", later)])
    same = [entry["digest"] for entry in earlier["tables"]] == [entry["digest"] for entry in later["tables"]]
    story.promise(same and earlier["id"] != later["id"], "a digest is not what it was before the accident")
    story.command("verify", "--read-data")
    story.command(
        "query",
        "latest",
        "SELECT campaign, sum(cost) AS cost FROM google_import_data GROUP BY 1 ORDER BY 2 DESC LIMIT 3",
    )


def _restore_in_dagster(story: Story, place: Place, server: EmbeddedServer, live: shop.Connection, day: date) -> None:
    schema = place.settings.configuration.restore.schema
    story.step(f"The same through Dagster: partition {day} of meta_import_data_restored, into schema {schema}")
    live.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
    command = ["asset", "materialize", "-m", "moi_assets.definitions", "--select", "meta_import_data_restored"]
    command += ["--partition", day.isoformat()]
    say(f"$ .venv/bin/dagster {' '.join(command)}")
    done = run_dagster(command, place.dagster_environment(server))
    events = [line for line in done.stderr.splitlines() if "ASSET_MATERIALIZATION -" in line or "RUN_SUCCESS" in line]
    say("\n".join(f"   {line.split(' - ', 1)[-1]}" for line in events))
    story.promise(done.returncode == 0, f"the Dagster run failed:\n{done.stderr[-3000:]}")
    found = shop.look(live, "meta_import_data", schema=schema, day=day)
    wanted = shop.look(live, "meta_import_data", day=day)
    table(LOOK, [("meta_import_data", *wanted), (f"{schema}.meta_import_data", *found)])
    story.promise(found == wanted and found.rows > 0, "the day in the scratch schema is not the live one")


def _everything(story: Story, server: EmbeddedServer, before: dict[str, shop.Look]) -> None:
    story.step("Everything into an empty database: schema, rows, indexes, constraints, sequences")
    shop.make_anew(server, EMPTY_DATABASE)
    story.command("restore", "latest", "--to", f"embedded:{EMPTY_DATABASE}")
    with shop.connect(server, EMPTY_DATABASE) as recovered:
        found = {name: shop.look(recovered, name) for name in shop.TABLES}
    table(("", *LOOK), _rows("recovered", found))
    story.promise(found == before, "the recovered database is not what it was")


def _digests(when: str, shown: dict[str, Any]) -> list[tuple[str, ...]]:
    return [(when, entry["name"], entry["digest"]) for entry in shown["tables"]]


def _rows(when: str, looks: dict[str, shop.Look]) -> list[tuple[str, ...]]:
    return [(when, name, f"{seen.rows:,}", seen.total, seen.md5) for name, seen in looks.items()]
