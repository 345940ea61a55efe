"""Where settings come from: TOML file, `.env`, environment, secret files, command line; the later one wins, key by key.

pydantic-settings reads and merges. What is here is what it has not: `…_FILE` variables in every source, and that a key which no
setting bears is an error with its source and the nearest known key: a misspelt limit must never leave the default in force.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin

import msgspec
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from mmd.daemon.settings import ControlSettings, Settings

PREFIX = "MMD_"
DELIMITER = "__"
FILE_SUFFIX = "_file"
CONFIG_VARIABLE = "MMD_CONFIG"
OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "MMD_CORE", "MMD_CORE_DIR", "MMD_DATA_DIR", "MMD_MOCK_URL", "MMD_MOCK_ADMIN_TOKEN"})
"""Variables of ours that are no settings of the daemon: where its file is, where recorded markets are, how to reach a mock."""

DEFAULT_CONFIG = Path("mmd.toml")
DEFAULT_ENV_FILE = Path(".env")
MAX_SECRET_BYTES = 65_536

Key = tuple[str, ...]
Model = TypeVar("Model", bound=BaseModel)


class SettingsError(ValueError):
    """The settings are no settings: every problem that was found, one a line, each with key, source and remedy."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def load_settings(
    config: Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path = Path(),
) -> Settings:
    """Read every source and validate. `overrides` are dotted keys from the command line. Raises `SettingsError`.

    `config` falls back on MMD_CONFIG, then on `mmd.toml` in `directory`; `.env` is read from `directory`.
    """
    return _Reading(config, overrides or {}, environment, directory).of(Settings)


def load_control_settings(
    config: Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path = Path(),
) -> ControlSettings:
    """Only how to reach the control port, from the same sources: a mistake elsewhere must not keep `mmd halt` from halting.

    Raises `SettingsError` for mistakes in that group alone.
    """
    return _Reading(config, overrides or {}, environment, directory, only="control").of(_ControlOnly).control


def known_fields(model: type[BaseModel] = Settings, prefix: Key = ()) -> Iterator[tuple[Key, FieldInfo]]:
    """Every leaf setting with its key, in the order of definition."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from known_fields(inner, (*prefix, name))
        else:
            yield (*prefix, name), field


def variable_name(key: Key) -> str:
    """The environment variable of a key."""
    return PREFIX + DELIMITER.join(key).upper()


def is_secret(key: Key, field: FieldInfo) -> bool:
    """Whether a setting may be given as the name of a file that holds it."""
    kinds = (field.annotation, *get_args(field.annotation))
    return SecretStr in kinds or key[-1] == "api_key"


class _ControlOnly(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    control: ControlSettings = ControlSettings()


class _Origin(msgspec.Struct, frozen=True):
    """One source for messages: what it is called, and how it writes the keys that it sets."""

    label: str
    spelling: Mapping[Key, str]


class _Reading:
    """One reading of all sources. Problems are gathered, so that a person sees all of them at once.

    `only` is the group whose problems count; those of other keys, and of files that cannot be read, are then passed over.
    """

    def __init__(
        self,
        config: Path | None,
        overrides: Mapping[str, Any],
        environment: Mapping[str, str] | None,
        directory: Path,
        only: str = "",
    ) -> None:
        self._config = config
        self._overrides = {tuple(dotted.split(".")): value for dotted, value in overrides.items() if value is not None}
        self._environment = environment
        self._directory = directory
        self._only = only
        self._known = dict(known_fields())
        self._groups = {key[:length] for key in self._known for length in range(1, len(key))}
        self._origins: list[_Origin] = []
        self._problems: list[str] = []

    def of(self, model: type[Model]) -> Model:
        """What the sources say, as `model`. Raises `SettingsError`."""
        # What is no setting is reported by name; handed on, it could be taken for an option of the library.
        given = {key: value for key, value in self._overrides.items() if key[0] in Settings.model_fields}
        try:
            read = _sourced(model, self)(**_nested(given))
        except ValidationError as error:
            raise SettingsError(self._problems or [self._explain(part) for part in error.errors(include_url=False)]) from None
        if self._problems:
            raise SettingsError(self._problems)
        # Validated values in the plain model: a copy made of it must not read the sources again.
        return model.model_validate(dict(read))

    # ---- sources

    def sources(
        self, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, env_settings: EnvSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The first wins."""
        self._set_by("command line", {key: ".".join(key) for key in self._overrides})
        if self._environment is not None:
            env_settings.env_vars = {name.lower(): text for name, text in self._environment.items()}
        chosen = env_settings.env_vars.get(CONFIG_VARIABLE.lower())
        env_settings.env_vars = self._variables("environment", env_settings.env_vars)
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        env_file = self._directory / DEFAULT_ENV_FILE
        label = f"file {env_file}"
        try:
            written = DotEnvSettingsSource(settings_cls, env_file=env_file)
        except (OSError, UnicodeDecodeError) as error:
            self._problem((), f"{label}: cannot be read: {error}")
        else:
            chosen = chosen or written.env_vars.get(CONFIG_VARIABLE.lower())
            written.env_vars = self._variables(label, written.env_vars)
            sources.append(written)
        sources += self._toml(settings_cls, self._config or (Path(chosen) if chosen else None))
        return tuple(sources)

    def _variables(self, label: str, variables: Mapping[str, str | None]) -> dict[str, str | None]:
        """Ours alone, each `…_FILE` replaced by what the file holds. Names are in lower case, as the library keeps them."""
        ours: dict[str, str | None] = {}
        spelling: dict[Key, str] = {}
        for name, text in variables.items():
            if not name.upper().startswith(PREFIX) or name.upper() in OTHER_VARIABLES or text is None:
                continue
            key, value = tuple(name[len(PREFIX) :].split(DELIMITER)), text
            bare = (*key[:-1], key[-1].removesuffix(FILE_SUFFIX))
            if key not in self._known and bare in self._known and is_secret(bare, self._known[bare]):
                key, value = bare, self._secret_of_file(label, bare, name.upper(), text)
            if key in spelling:
                self._problem(key, f"{label}: both {spelling[key]} and {name.upper()} are set: keep one")
            spelling[key] = name.upper()
            ours[variable_name(key).lower()] = value
        self._set_by(label, spelling)
        return ours

    def _secret_of_file(self, label: str, key: Key, name: str, path: str) -> str:
        try:
            with Path(path).open("rb") as file:
                return file.read(MAX_SECRET_BYTES).decode("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            self._problem(key, f"{label}: {name} names a file that cannot be read: {error}")
            return ""

    def _toml(self, settings_cls: type[BaseSettings], chosen: Path | None) -> list[PydanticBaseSettingsSource]:
        path = chosen or self._directory / DEFAULT_CONFIG
        label = f"file {path}"
        try:
            # The library passes over a file that is not there.
            if chosen is not None and not path.expanduser().is_file():
                raise FileNotFoundError("no such file")
            source = TomlConfigSettingsSource(settings_cls, toml_file=path)
        except OSError as error:
            self._problem((), f"{label}: cannot be read: {error.strerror or error}")
            return []
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            self._problem((), f"{label}: is no TOML: {error}")
            return []
        self._set_by(label, {key: ".".join(key) for key in self._flat(source.toml_data)})
        return [source]

    def _flat(self, table: Mapping[str, Any], prefix: Key = ()) -> Iterator[Key]:
        for name, value in table.items():
            key = (*prefix, name)
            if isinstance(value, dict) and (value or key in self._groups):
                yield from self._flat(value, key)
            else:
                yield key

    # ---- problems

    def _set_by(self, label: str, spelling: Mapping[Key, str]) -> None:
        self._origins.append(_Origin(label, spelling))
        for key, written in spelling.items():
            if not self._is_known(key):
                self._problem(key, f"{label}: unknown setting {written}: {self._remedy(key, written)}")

    def _is_known(self, key: Key) -> bool:
        """Whether a setting bears this key, or one that is a table of free names (which its own room checks)."""
        table = self._known.get(key[:-1])
        return key in self._known or (table is not None and get_origin(table.annotation) is dict)

    def _problem(self, key: Key, text: str) -> None:
        if not self._only or (key and key[0].startswith(self._only)):
            self._problems.append(text)

    def _remedy(self, key: Key, written: str) -> str:
        as_variable = written.startswith(PREFIX)
        spelled = {(variable_name(one) if as_variable else ".".join(one)): one for one in self._known}
        if key in self._groups:
            return f"it is a group; set one of its keys, as {next(name for name, one in spelled.items() if one[:-1] == key)}"
        nearest = difflib.get_close_matches(written, spelled, n=1, cutoff=0.5)
        return f"did you mean {nearest[0]}?" if nearest else "`mmd run --help` and docs/reference/settings.md list the settings"

    def _explain(self, error: Any) -> str:
        """One line. The offending value is shown only where it can be no secret."""
        location: Key = tuple(str(part) for part in error["loc"] if isinstance(part, str))
        message = str(error["msg"]).removeprefix("Value error, ")
        key = next((location[:length] for length in range(len(location), 0, -1) if location[:length] in self._known), location)
        origin = next((origin for origin in self._origins if key in origin.spelling), None)
        if origin is None:
            return f"{'.'.join(location) or 'settings'}: {message}"
        shown = "" if key in self._known and is_secret(key, self._known[key]) else f" (it is {error['input']!r})"
        return f"{origin.label}: {origin.spelling[key]}: {message}{shown}"


def _sourced(model: type[Model], reading: _Reading) -> type[Model]:
    """`model`, read from the sources of `reading` when it is made."""

    class Sources(BaseSettings):
        # Values stay text until the model validates them: lists are written with commas, not as JSON.
        model_config = SettingsConfigDict(
            env_prefix=PREFIX, env_nested_delimiter=DELIMITER, enable_decoding=False, dotenv_filtering="only_existing"
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            assert isinstance(env_settings, EnvSettingsSource)
            return reading.sources(settings_cls, init_settings, env_settings)

    return cast("type[Model]", create_model(model.__name__, __base__=(Sources, model)))


def _nested(values: Mapping[Key, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in values.items():
        table: Any = nested
        for name in key[:-1]:
            table = table.setdefault(name, {}) if isinstance(table, dict) else None
        # A group that was given a value of its own is reported as such; its keys then do not matter.
        if isinstance(table, dict):
            table[key[-1]] = value
    return nested
