"""The environment and `moi.toml` together: precedence, defaults, refusals, and that no secret is ever shown."""

import re
from pathlib import Path

import pytest

from moi_backup.errors import ConfigurationError, UsageError
from moi_backup.model.configuration import default_configuration
from moi_backup.settings import LATER_VARIABLES, VARIABLES, Settings, read_configuration, read_settings

USER = 1000
ROOT = 0
SECRET = "hunter2"
URL = f"postgresql://moi:{SECRET}@db.example:5432/shop"
DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def read(cwd: Path, uid: int = USER, toml: str | None = None, **environ: str) -> Settings:
    """The settings of a process started in `cwd`, with this `moi.toml` and environment."""
    if toml is not None:
        (cwd / "moi.toml").write_text(toml, "utf-8")
    return read_settings(environ, cwd=cwd, effective_uid=uid)


def refusal(cwd: Path, toml: str | None = None, **environ: str) -> str:
    """What the user reads when these settings are refused."""
    with pytest.raises(ConfigurationError) as caught:
        read(cwd, toml=toml, **environ)
    return str(caught.value)


class TestDefaults:
    def test_nothing_set_means_the_platform_tables_of_the_embedded_server(self, tmp_path: Path):
        """Without file and environment everything has a default in the current folder."""
        settings = read(tmp_path)
        assert settings.configuration == default_configuration()
        assert settings.source.embedded
        assert settings.source.url is None
        assert settings.restore_target == settings.source
        assert settings.state.path == tmp_path / ".moi"
        assert settings.repository.path == tmp_path / ".moi" / "repository"
        origins = {settings.source.origin, settings.state.origin, settings.repository.origin}
        assert origins == {"default"}

    def test_roots_state_lies_outside_the_home(self, tmp_path: Path):
        """The unprivileged user of the embedded server could not enter a folder in root's home."""
        path = read(tmp_path, ROOT).state.path
        assert path.parent == Path("/var/lib/moi-backup")
        assert re.fullmatch(re.escape(tmp_path.name) + "-[0-9a-f]{8}", path.name)

    def test_each_folder_of_root_has_its_own_state(self, tmp_path: Path):
        """Folders of one name do not share a state; one folder always has the same, by whatever path it is reached."""
        folders = [tmp_path / "a" / "work", tmp_path / "b" / "work"]
        for folder in folders:
            folder.mkdir(parents=True)
        (tmp_path / "link").symlink_to(folders[0])
        one, other, linked = (read(folder, ROOT).state.path for folder in (*folders, tmp_path / "link"))
        assert one != other
        assert linked == one

    def test_roots_state_has_a_plain_short_name(self, tmp_path: Path):
        """Blanks, other scripts and length of the folder's name do not reach the server's paths."""
        folder = tmp_path / ("मेरा काम " * 7)
        folder.mkdir()
        name = read(folder, ROOT).state.path.name
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,32}-[0-9a-f]{8}", name)
        assert read(Path("/"), ROOT).state.path.name.startswith("root-")


class TestPrecedence:
    def test_the_environment_comes_before_the_file_and_the_file_before_the_default(self, tmp_path: Path):
        """Every setting that has three sources takes the first that is given, and says which."""
        toml = '[source]\nurl = "postgresql://file/d"\n[repository]\naddress = "in_file"'
        settings = read(tmp_path, toml=toml)
        assert (settings.source.url, settings.source.origin) == ("postgresql://file/d", "moi.toml")
        assert (settings.repository.path, settings.repository.origin) == (tmp_path / "in_file", "moi.toml")
        settings = read(tmp_path, MOI_SOURCE_URL=URL, MOI_REPOSITORY="in_environment")
        assert (settings.source.url, settings.source.origin) == (URL, "environment MOI_SOURCE_URL")
        assert settings.repository.path == tmp_path / "in_environment"
        assert settings.repository.origin == "environment MOI_REPOSITORY"

    def test_the_repository_moves_with_the_state(self, tmp_path: Path):
        """Without a setting of its own it lies in the state folder."""
        settings = read(tmp_path, ROOT, MOI_STATE="/srv/moi")
        assert settings.state.path == Path("/srv/moi")
        assert settings.repository.path == Path("/srv/moi/repository")

    def test_a_named_file_is_read_instead_of_the_one_in_the_folder(self, tmp_path: Path):
        """MOI_CONFIG replaces moi.toml; the file's relative paths are relative to its own folder."""
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc" / "prod.toml").write_text('[repository]\naddress = "backups"', "utf-8")
        settings = read(tmp_path, toml="[source]\nschema = 'other'", MOI_CONFIG="etc/prod.toml")
        assert settings.configuration.source.schema == "public"
        assert settings.configuration.file == "etc/prod.toml"
        assert settings.repository.path == tmp_path / "etc" / "backups"
        assert settings.repository.origin == "etc/prod.toml"

    def test_the_restore_target_is_the_source_unless_configured(self, tmp_path: Path):
        """[restore] url replaces the source as target and leaves the source alone."""
        assert read(tmp_path, MOI_SOURCE_URL=URL).restore_target.url == URL
        settings = read(tmp_path, toml='[restore]\nurl = "env:SCRATCH"', MOI_SOURCE_URL=URL, SCRATCH="postgres://s/d")
        assert settings.restore_target.url == "postgres://s/d"
        assert settings.source.url == URL

    def test_the_drill_server_is_embedded_unless_configured(self, tmp_path: Path):
        """The environment comes before the file, and neither says anything of the source."""
        assert read(tmp_path, MOI_SOURCE_URL=URL).drill.embedded
        toml = '[drill]\nurl = "env:SCRATCH"'
        assert read(tmp_path, toml=toml, MOI_SOURCE_URL=URL, SCRATCH="postgres://s/d").drill.url == "postgres://s/d"
        settings = read(tmp_path, toml=toml, MOI_SOURCE_URL=URL, MOI_DRILL_URL="postgres://t/d")
        assert (settings.drill.url, settings.drill.origin) == ("postgres://t/d", "environment MOI_DRILL_URL")
        assert settings.source.url == URL

    def test_the_file_alone_is_enough_for_dagsters_definitions(self, tmp_path: Path):
        """`read_configuration` needs no database and no variable that the file names."""
        (tmp_path / "moi.toml").write_text('\ufeff[source]\nurl = "env:NOT_SET"\n[tables.orders]', "utf-8")
        configuration = read_configuration({}, cwd=tmp_path)
        assert [str(name) for name in configuration.tables or ()] == ["public.orders"]


class TestRefusals:
    @pytest.mark.parametrize("name", VARIABLES)
    @pytest.mark.parametrize("value", ["", " "])
    def test_an_empty_variable_is_an_error(self, tmp_path: Path, name: str, value: str):
        """Empty is neither a value nor the default."""
        assert f"{name} is set but empty" in refusal(tmp_path, **{name: value})

    @pytest.mark.parametrize(
        ("name", "nearest"),
        [("MOI_SOURCE_URI", "MOI_SOURCE_URL"), ("MOI_REPO", "MOI_REPOSITORY"), ("MOI_CONFIGURATION", "MOI_CONFIG")],
    )
    def test_an_unknown_variable_is_an_error_that_names_the_nearest(self, tmp_path: Path, name: str, nearest: str):
        """A misspelt setting is never ignored."""
        message = refusal(tmp_path, **{name: SECRET})
        assert f"{name} is unknown" in message
        assert f"Did you mean {nearest}?" in message
        assert SECRET not in message

    @pytest.mark.parametrize("name", ["MOI_KEY", "MOI_KEY_PII", "MOI_KEY_0", "MOI_KEY_01", "MOI_KEY_10000"])
    def test_a_key_is_never_silently_ignored(self, tmp_path: Path, name: str):
        """A variable that looks like a key and is none is an error; what it holds is not shown."""
        message = refusal(tmp_path, **{name: SECRET})
        assert "Did you mean MOI_KEY_1?" in message
        assert SECRET not in message

    def test_an_empty_key_is_an_error(self, tmp_path: Path):
        """Nobody believes that there is encryption while a variable is empty."""
        assert "MOI_KEY_1 is set but empty" in refusal(tmp_path, MOI_KEY_1=" ")

    @pytest.mark.parametrize("name", LATER_VARIABLES)
    def test_a_variable_of_a_later_release_is_refused_by_name(self, tmp_path: Path, name: str):
        """Files that someone believes protected are not passed over in silence."""
        message = refusal(tmp_path, **{name: "/srv/files"})
        assert name in message
        assert "not in this release" in message

    def test_other_variables_are_none_of_our_business(self, tmp_path: Path):
        """Only names that begin with MOI_ are settings."""
        assert read(tmp_path, MOIST="", XMOI_A="1", PATH="").source.embedded

    @pytest.mark.parametrize("address", ["gs://bucket/moi", "GS:b", "az://b", "sftp://h/p", "https://h/p"])
    def test_a_repository_in_another_remote_store_is_refused_by_its_scheme(self, tmp_path: Path, address: str):
        """Nothing is ever written into a folder named `gs:`."""
        for toml, environ in ((f'[repository]\naddress = "{address}"', {}), (None, {"MOI_REPOSITORY": address})):
            message = refusal(tmp_path, toml, **environ)
            assert f"begins with {address.partition(':')[0]}:" in message
            assert "not in this release" in message

    @pytest.mark.parametrize(
        ("address", "path"),
        [
            ("file:///srv/my%20backups", "/srv/my backups"),
            ("file://localhost/srv/moi", "/srv/moi"),
            ("FILE:///srv/moi", "/srv/moi"),
            ("/srv/moi", "/srv/moi"),
        ],
    )
    def test_a_repository_is_a_path_or_a_file_address(self, tmp_path: Path, address: str, path: str):
        """Both name the same folder; percent-encoding counts in addresses only."""
        assert read(tmp_path, MOI_REPOSITORY=address).repository.path == Path(path)

    @pytest.mark.parametrize("address", ["s3://lake/moi", "S3://lake/moi/"])
    def test_a_repository_may_be_in_a_bucket(self, tmp_path: Path, address: str):
        """It is no path, is relative to nothing, and its credentials come from the AWS variables and are not shown."""
        for toml, environ in ((f'[repository]\naddress = "{address}"', {}), (None, {"MOI_REPOSITORY": address})):
            settings = read(tmp_path, toml=toml, AWS_ACCESS_KEY_ID="KEY", AWS_SECRET_ACCESS_KEY=SECRET, **environ)
            assert settings.repository.address == "s3://lake/moi"
            assert settings.buckets.secret_key == SECRET
            assert SECRET not in repr(settings)
            with pytest.raises(UsageError, match="in a bucket"):
                _ = settings.repository.path

    def test_an_address_that_names_no_bucket_is_refused(self, tmp_path: Path):
        """A key in it is not repeated."""
        message = refusal(tmp_path, MOI_REPOSITORY=f"s3://KEY:{SECRET}@lake/moi")
        assert "names no bucket" in message
        assert SECRET not in message

    def test_a_folder_with_a_colon_is_written_as_a_path(self, tmp_path: Path):
        """`./` tells a folder's name from a scheme."""
        assert read(tmp_path, MOI_REPOSITORY="./a:b").repository.path == tmp_path / "a:b"

    @pytest.mark.parametrize("address", ["file://server/share", "file:relative", "file:/srv", "file://", "file:"])
    def test_a_file_address_of_no_local_folder_is_refused(self, tmp_path: Path, address: str):
        """Another host or a relative address names no folder here."""
        assert "file:///path" in refusal(tmp_path, MOI_REPOSITORY=address)

    @pytest.mark.parametrize("name", ["MOI_REPOSITORY", "MOI_STATE", "MOI_CONFIG"])
    def test_a_tilde_is_refused_rather_than_made_a_folder(self, tmp_path: Path, name: str):
        """Only a shell replaces it."""
        assert f"{name} begins with ~" in refusal(tmp_path, **{name: "~/moi"})

    def test_a_named_file_must_exist(self, tmp_path: Path):
        """MOI_CONFIG never falls back to the defaults."""
        assert "MOI_CONFIG names gone.toml" in refusal(tmp_path, MOI_CONFIG="gone.toml")

    def test_a_file_that_cannot_be_read_is_not_taken_for_absent(self, tmp_path: Path):
        """A folder of that name, or bytes that are no text, are errors."""
        (tmp_path / "moi.toml").mkdir()
        assert "moi.toml cannot be read" in refusal(tmp_path)
        (tmp_path / "latin.toml").write_bytes(b"# \xff")
        assert "latin.toml cannot be read" in refusal(tmp_path, MOI_CONFIG="latin.toml")


class TestDatabases:
    def test_a_url_may_stand_in_another_variable(self, tmp_path: Path):
        """`env:NAME` is followed once, in the environment and in the file."""
        assert read(tmp_path, MOI_SOURCE_URL="env:DB", DB=URL).source.url == URL
        assert read(tmp_path, toml='[source]\nurl = "env:DB"', DB=URL).source.url == URL

    @pytest.mark.parametrize("environ", [{}, {"DB": ""}])
    def test_a_database_in_an_unset_variable_is_an_error_when_it_is_needed(self, tmp_path: Path, environ: dict):
        """What needs no database works without the variable; what needs it is told its name."""
        source = read(tmp_path, toml='[source]\nurl = "env:DB"', **environ).source
        assert not source.embedded
        assert source.shown == "env:DB (not set)"
        with pytest.raises(ConfigurationError, match="environment variable DB is not set"):
            _ = source.url

    @pytest.mark.parametrize(
        "value",
        [
            f"postgresql://moi:{SECRET}@x@h/d",
            f"postgresql://moi:{SECRET}/x@h/d",
            f"postgresql://moi:{SECRET}",
            f"mysql://moi:{SECRET}@h/d",
            f"host=h password={SECRET}",
            f"postgresql://moi:{SECRET}@h/d\n",
            f"env:{SECRET} x",
        ],
    )
    def test_a_url_that_could_be_misread_is_refused_without_being_repeated(self, tmp_path: Path, value: str):
        """Where the end of the password is in doubt nothing is shown, nor kept in the error's causes."""
        with pytest.raises(ConfigurationError) as caught:
            read(tmp_path, MOI_SOURCE_URL=value)
        assert "environment MOI_SOURCE_URL" in str(caught.value)
        assert caught.value.__cause__ is None
        assert SECRET not in str(caught.value)

    def test_a_refused_url_of_another_variable_is_named_by_both(self, tmp_path: Path):
        """The message says which variable to repair and who named it."""
        message = refusal(tmp_path, MOI_SOURCE_URL="env:DB", DB="nonsense")
        assert "environment DB, named by environment MOI_SOURCE_URL" in message

    def test_settings_never_show_a_password(self, tmp_path: Path):
        """Neither repr nor str nor the shown address holds it, and the shown address keeps all else."""
        toml = '[restore]\nurl = "env:SCRATCH"'
        settings = read(
            tmp_path, toml=toml, MOI_SOURCE_URL=URL, SCRATCH=f"postgres://h/d?password={SECRET}&sslmode=require"
        )
        for text in (repr(settings), str(settings), settings.source.shown, settings.restore_target.shown):
            assert SECRET not in text
        assert settings.source.shown == "postgresql://moi:***@db.example:5432/shop"
        assert settings.restore_target.shown == "env:SCRATCH (postgres://h/d?password=***&sslmode=require)"


def test_a_copy_is_named_like_the_repository(tmp_path: Path):
    """By the environment, relative to the current folder, before the file, relative to its own; else there is none."""
    assert read(tmp_path).copy is None
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "moi.toml").write_text('[repository]\ncopy = "second"\n')
    copy = read(tmp_path, MOI_CONFIG="etc/moi.toml").copy
    assert copy is not None
    assert (copy.address, copy.origin) == (str(tmp_path / "etc" / "second"), "etc/moi.toml")
    copy = read(tmp_path, MOI_CONFIG="etc/moi.toml", MOI_REPOSITORY_COPY="third").copy
    assert copy is not None
    assert (copy.address, copy.origin) == (str(tmp_path / "third"), "environment MOI_REPOSITORY_COPY")
    assert "ftp:" in refusal(tmp_path, MOI_REPOSITORY_COPY="ftp://host/x")


def test_the_bucket_of_the_copy_is_reached_in_its_own_way(tmp_path: Path):
    """Credentials of one account never travel to the other's endpoint half replaced; without its own: the same."""
    aws = {
        "AWS_ACCESS_KEY_ID": "K1", "AWS_SECRET_ACCESS_KEY": "S1", "AWS_SESSION_TOKEN": "T1",
        "AWS_ENDPOINT_URL_S3": "https://one", "AWS_REGION": "r1",
    }  # fmt: skip
    assert read(tmp_path, **aws).copy_buckets == read(tmp_path, **aws).buckets
    own = {"MOI_COPY_AWS_ACCESS_KEY_ID": "K2", "MOI_COPY_AWS_SECRET_ACCESS_KEY": "S2"}
    settings = read(tmp_path, **aws, **own)
    assert settings.buckets.key_id == "K1"
    access = settings.copy_buckets
    assert (access.key_id, access.secret_key, access.session_token) == ("K2", "S2", None)
    assert (access.endpoint, access.region) == ("https://one", "r1")
    access = read(tmp_path, **aws, **own, MOI_COPY_AWS_ENDPOINT_URL="https://two").copy_buckets
    assert (access.endpoint, access.region) == ("https://two", "us-east-1")
    assert "S2" not in repr(settings)


class TestKeys:
    def test_keys_are_kept_by_number_and_not_shown(self, tmp_path: Path):
        """The tenth comes after the second; neither text nor command is in any repr."""
        settings = read(tmp_path, MOI_KEY_10=f"command:vault {SECRET}", MOI_KEY_2=f" {SECRET}\n", MOI_KEY_1="file:k")
        assert [key.variable for key in settings.keys] == ["MOI_KEY_1", "MOI_KEY_2", "MOI_KEY_10"]
        assert [key.shown for key in settings.keys] == ["file:k", "the environment", "a command"]
        assert SECRET not in repr(settings)

    def test_no_key_is_read_with_the_settings(self, tmp_path: Path):
        """A key's file that is missing fails what needs the key, and nothing else."""
        assert len(read(tmp_path, MOI_KEY_1="file:/nowhere").keys) == 1


def test_every_variable_is_documented_and_no_other_is():
    """The environment table of docs/configuration.md names exactly the variables that are known or refused by name."""
    section = DOCUMENT.read_text("utf-8").partition("## Environment")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(MOI_[^`]+)` \|", section, re.MULTILINE)
    assert documented == [*VARIABLES, *LATER_VARIABLES, "MOI_KEY_<n>"]
