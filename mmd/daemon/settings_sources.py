"""Where settings come from: TOML file, `.env`, environment, secret files, command line; the later one wins, key by key.

A key that no setting bears is an error that names the key, the source and the nearest known key: a misspelt limit must never
leave the default in force.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec
from dotenv import dotenv_values
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from mmd.daemon.settings import ControlSettings, Settings

PREFIX = "MMD_"
DELIMITER = "__"
FILE_SUFFIX = "_FILE"
CONFIG_VARIABLE = "MMD_CONFIG"
OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "MMD_DATA_DIR"})
"""Variables of ours that are no settings of the daemon: where its file is, and where recorded markets are."""

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


class Layer(msgspec.Struct, frozen=True):
    """The keys of one source. `spelling` says how a key is written there, for messages."""

    source: str
    values: dict[Key, Any]
    spelling: dict[Key, str]


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
    problems: list[str] = []
    variables = os.environ if environment is None else environment
    layers = _layers(config, overrides or {}, variables, directory, problems)
    if problems:
        raise SettingsError(problems)
    return _validated(Settings, _merged(layers), layers)


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
    variables = os.environ if environment is None else environment
    problems: list[str] = []
    layers = _layers(config, overrides or {}, variables, directory, problems)
    mine = [problem for problem in problems if "control" in problem.lower()]
    if mine:
        raise SettingsError(mine)
    values: dict[str, Any] = {}
    for layer in layers:
        values.update({key[1]: value for key, value in layer.values.items() if key[0] == "control" and len(key) == 2})
    return _validated(ControlSettings, values, layers, ("control",))


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


def _path_of(text: str | None) -> Path | None:
    return Path(text) if text else None


# ---- sources


def _layers(
    config: Path | None, overrides: Mapping[str, Any], variables: Mapping[str, str], directory: Path, problems: list[str]
) -> list[Layer]:
    env_file = directory / DEFAULT_ENV_FILE
    written = {name: text for name, text in dotenv_values(env_file).items() if text is not None} if env_file.is_file() else {}
    chosen = config or _path_of(variables.get(CONFIG_VARIABLE) or written.get(CONFIG_VARIABLE))
    return [
        *_toml_layers(chosen, directory / DEFAULT_CONFIG, problems),
        _variables_layer(f"file {env_file}", written, problems),
        _variables_layer("environment", variables, problems),
        _overrides_layer(overrides, problems),
    ]


def _toml_layers(chosen: Path | None, default: Path, problems: list[str]) -> list[Layer]:
    path = chosen or (default if default.is_file() else None)
    if path is None:
        return []
    source = f"file {path}"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"{source}: cannot be read: {error.strerror or error}")
        return []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{source}: is no TOML: {error}")
        return []
    values = dict(_flatten(document))
    spelling = {key: ".".join(key) for key in values}
    return [_checked(Layer(source, values, spelling), problems)]


def _flatten(table: Mapping[str, Any], prefix: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, (*prefix, name))
        else:
            yield (*prefix, name), value


def _variables_layer(source: str, variables: Mapping[str, str], problems: list[str]) -> Layer:
    known = dict(known_fields())
    layer = Layer(source, {}, {})
    for name, text in variables.items():
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in OTHER_VARIABLES:
            continue
        key = tuple(upper.removeprefix(PREFIX).lower().split(DELIMITER))
        value: Any = text
        bare = _without_file_suffix(key)
        if key not in known and bare in known and is_secret(bare, known[bare]):
            key, value = bare, _secret_of_file(source, name, text, problems)
        if key in layer.values:
            problems.append(f"{source}: both {layer.spelling[key]} and {name} are set: keep one")
        layer.values[key] = value
        layer.spelling[key] = name
    return _checked(layer, problems)


def _without_file_suffix(key: Key) -> Key:
    suffix = FILE_SUFFIX.lower()
    return (*key[:-1], key[-1].removesuffix(suffix)) if key[-1].endswith(suffix) else key


def _secret_of_file(source: str, name: str, path: str, problems: list[str]) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_SECRET_BYTES).decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{source}: {name} names a file that cannot be read: {error}")
        return ""


def _overrides_layer(overrides: Mapping[str, Any], problems: list[str]) -> Layer:
    values = {tuple(dotted.split(".")): value for dotted, value in overrides.items() if value is not None}
    spelling = {key: ".".join(key) for key in values}
    return _checked(Layer("command line", values, spelling), problems)


def _checked(layer: Layer, problems: list[str]) -> Layer:
    known = {key for key, _ in known_fields()}
    for key in layer.values:
        if key not in known:
            problems.append(_unknown(layer, key, known))
    return layer


def _unknown(layer: Layer, key: Key, known: set[Key]) -> str:
    as_variable = layer.spelling[key].upper().startswith(PREFIX)
    spelled = {(variable_name(one) if as_variable else ".".join(one)): one for one in known}
    nearest = difflib.get_close_matches(layer.spelling[key].upper() if as_variable else ".".join(key), spelled, n=1, cutoff=0.5)
    groups = {one[:-1] for one in known}
    if key in groups:
        remedy = f"it is a group; set one of its keys, as {next(name for name, one in spelled.items() if one[:-1] == key)}"
    elif nearest:
        remedy = f"did you mean {nearest[0]}?"
    else:
        remedy = "`mmd run --help` and docs/reference/settings.md list the settings"
    return f"{layer.source}: unknown setting {layer.spelling[key]}: {remedy}"


# ---- merging and explaining


def _merged(layers: Sequence[Layer]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.values.items():
            table = merged
            for name in key[:-1]:
                table = table.setdefault(name, {})
            table[key[-1]] = value
    return merged


def _validated(model: type[Model], values: Mapping[str, Any], layers: Sequence[Layer], prefix: Key = ()) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [_explain(part, layers, prefix) for part in error.errors(include_url=False)]
    raise SettingsError(problems)


def _explain(error: Any, layers: Sequence[Layer], prefix: Key) -> str:
    """One line. The offending value is shown only where it can be no secret."""
    location: Key = (*prefix, *(str(part) for part in error["loc"] if isinstance(part, str)))
    message = str(error["msg"]).removeprefix("Value error, ")
    known = dict(known_fields())
    key = next((location[:length] for length in range(len(location), 0, -1) if location[:length] in known), location)
    origin = next((layer for layer in reversed(layers) if key in layer.values), None)
    dotted = ".".join(location) or "settings"
    if origin is None:
        return f"{dotted}: {message}"
    shown = "" if key in known and is_secret(key, known[key]) else f" (it is {error['input']!r})"
    written = origin.spelling[key]
    return f"{origin.source}: {written}: {message}{shown}"
