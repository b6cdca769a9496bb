"""Methods of the peft library: their config's fields as settings, their own adapter folders."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import JsonValue, ValidationError

from peftlab.core.errors import UnknownNameError, UserError, first_line
from peftlab.core.identity import pinned_settings
from peftlab.core.remembered import remembered
from peftlab.core.validation import complaint_of
from peftlab.methods.base import Method
from peftlab.methods.patterns import require_bounded
from peftlab.methods.peft_settings import (
    NOT_SETTINGS,
    SEED,
    as_json,
    as_settings,
    default_of,
    type_adapter,
    type_name,
)
from peftlab.models.families import family_of
from peftlab.models.head import head_module_names

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
IMPORTING = ("auto_mapping", "megatron_config")
"""The fields of a peft config through which it imports a Python module."""

SETS = frozenset({"target_modules", "exclude_modules", "modules_to_save"})
"""The fields that peft keeps as sets of names."""

DATA_DRIVEN = frozenset({"eva", "corda", "loftq"})
"""First values of LoRA that peft finds by running the model on examples, or for a quantised one."""

UNLISTED_RATE = 1e-3

EXPECTED = (
    "Unsupported layer type",  # LN tuning warns of every layer norm, which is what it is for
    "fan_in_fan_out is set to False",  # GPT-2's layers are transposed; peft then sets it to True
    "Detected that the base layer has no bias term",  # BEFT's adapter then stands beside it
)


class PeftMethod(Method):
    """A method of peft, by the name of its type; every field of its config is a setting.

    The head is trained and saved whole: where `modules_to_save` is not given, it becomes every
    module that the checkpoint lacks. (peft's own default misses DistilBERT's pre_classifier.)
    Where `target_modules` is not given, peft's default for the architecture holds, or ours.
    A field that seeds a generator of the method's own is null by default: it then follows from
    the trial's seed.

    `defaults` stand in place of peft's; `hidden` are fields that are not offered. The checkpoint's
    matrices stay as they are where all settings but those in `shares_base_with` are at their
    defaults; whatever they are, the matrices may change where it is None. A method of which nothing
    is known here (`unlisted`) claims nothing, and runs padded.
    """

    def __init__(
        self,
        name: str,
        peft_type: str,
        title: str,
        paper: str,
        *,
        learning_rate: float | None = None,
        defaults: Mapping[str, JsonValue] | None = None,
        hidden: Iterable[str] = (),
        is_identity_at_start: bool = True,
        draws: bool = True,
        can_merge: bool = True,
        merges_if: str | None = None,
        why_not_packed: str | None = None,
        why_row_by_row: str | None = None,
        shares_base_with: Iterable[str] | None = None,
    ) -> None:
        self.name = name
        self.peft_type = peft_type
        self.title = title
        self.paper = paper
        self.learning_rate = learning_rate
        self.defaults = dict(defaults or {})
        self.hidden = NOT_SETTINGS | set(hidden)
        self.is_identity_at_start = is_identity_at_start
        self.draws = draws
        self.can_merge = can_merge
        self.merges_if = merges_if
        self.why_not_packed = why_not_packed
        self.why_row_by_row = why_row_by_row
        self.shares_base_with = None if shares_base_with is None else frozenset(shares_base_with)

    @classmethod
    def unlisted(cls, peft_type: str) -> PeftMethod:
        """Return the method of a type that peft has but our table lacks."""
        return cls(
            peft_type.lower().replace("_", "-"),
            peft_type,
            f"{peft_type}: as the installed peft defines it",
            "see peft's documentation",
            learning_rate=UNLISTED_RATE,
            is_identity_at_start=False,
            can_merge=False,
            why_not_packed="not known to treat every token by itself",
            why_row_by_row="not known to treat every row by itself",
        )

    @cached_property
    def config_class(self) -> type[Any]:
        """peft's dataclass for this method's config."""
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
        from peft.utils import PeftType

        try:
            found: type[Any] = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType[self.peft_type]]
        except KeyError as error:
            raise UserError(f"the installed peft has no config for {self.name}") from error
        return found

    def settings(self) -> dict[str, JsonValue]:
        """Return the fields of peft's config with their defaults, ours before peft's."""
        found: dict[str, JsonValue] = remembered(
            "settings",
            self._identity(),
            lambda: self._peft_defaults() | self.defaults,
            library="peft",
        )
        return found

    def resolve(self, given: Mapping[str, JsonValue], *, where: str = "") -> dict[str, JsonValue]:
        """Return all fields of peft's config; we check the types, and peft the rest.

        A field that a newer peft has brought is left out at its default, so that the ids of trials
        do not depend on the version of peft.
        """
        found: dict[str, JsonValue] = remembered(
            "resolved",
            [*self._identity(), dict(given)],
            lambda: self._resolved(given, where),
            library="peft",
        )
        return found

    def _identity(self) -> list[JsonValue]:
        """Return everything of the method that decides how its settings follow from peft's
        config."""
        return [self.name, self.peft_type, self.defaults, [*sorted(self.hidden)]]

    def _resolved(self, given: Mapping[str, JsonValue], where: str) -> dict[str, JsonValue]:
        known = self.settings()
        types = get_type_hints(self.config_class)
        checked: dict[str, Any] = {}
        for key, value in given.items():
            if key not in known:
                raise UnknownNameError(
                    f"setting of the method {self.name}", key, known, where=where
                )
            if value is None and known[key] is None:
                continue
            try:
                checked[key] = type_adapter(types[key]).validate_python(value)
            except ValidationError as error:
                raise UserError(
                    f"{key} = {repr(value)[:60]} is not valid: {complaint_of(error).words}",
                    where=where,
                    allowed=type_name(types[key]),
                ) from error
            if key == "r" and types[key] is int and checked[key] < 1 and checked[key] != known[key]:
                # A default of 0 is a rank that follows from another setting, as OFT's does. peft
                # itself refuses the others only when the adapter is made.
                raise UserError(
                    f"r = {value!r} is not valid: it is the rank", where=where, allowed="1 or more"
                )
        settings = known | checked
        self._refuse_data_driven(settings, where)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                config = self._config(settings)
        except Exception as error:  # its checks presume values of the right kind inside lists too
            raise UserError(
                f"peft does not accept these settings of {self.name}: {error}", where=where
            ) from error
        of_peft = as_settings(config)
        pinned = pinned_settings().get(self.name, known)
        return {
            key: None if value is None else of_peft.get(key, value)
            for key, value in settings.items()
            if key in pinned or value != known[key]
        }

    def shares_base(self, config: Mapping[str, JsonValue]) -> bool:
        """Return whether all settings that could change a matrix are at their defaults."""
        if self.shares_base_with is None:
            return False
        defaults = self.settings()
        return all(
            key in self.shares_base_with or value == defaults[key] for key, value in config.items()
        )

    def apply(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> nn.Module:
        """Return a PeftModel around the model; the adapter's weights are drawn from `seed`."""
        import torch
        from peft import get_peft_model

        settings = self.fitted(model, config, seed=seed)
        names = [name for name, _ in model.named_modules()]
        require_bounded(settings, names, where=f"settings of {self.name}")
        with torch.random.fork_rng(devices=[]), expected_warnings():
            torch.manual_seed(seed)
            try:
                module: nn.Module = get_peft_model(model, self._config(settings))
            except UserError:
                raise
            except Exception as error:  # each method of peft checks in its own way what it is given
                cause = first_line(error)
                raise UserError(f"{self.name} does not fit this model: {cause}") from error
        return module

    def fitted(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> dict[str, JsonValue]:
        """Return the settings with null replaced by what follows from the model and the seed."""
        settings = dict(config)
        if "modules_to_save" in settings and settings["modules_to_save"] is None:
            settings["modules_to_save"] = list(head_module_names(model))
        if "target_modules" in settings and settings["target_modules"] is None:
            settings["target_modules"] = self._target_modules(model)
        _check_tokens(settings.get("trainable_token_indices"), model)
        for key, value in settings.items():
            if value is None and SEED.search(key):
                settings[key] = seed % 2**31
        return settings

    def _target_modules(self, model: PreTrainedModel) -> JsonValue:
        """Return names of modules if peft knows none for the architecture, else None."""
        from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
        from peft.tuners import LoraModel
        from peft.utils import PeftType

        tuner = PEFT_TYPE_TO_TUNER_MAPPING.get(PeftType[self.peft_type])
        known = getattr(tuner, "target_module_mapping", None)
        architecture = model.config.model_type
        ours = family_of(architecture).target_modules
        if known is None:  # (IA)³ keeps what it knows, with the feed-forward modules, elsewhere
            return [*ours] or None
        if architecture in known:
            return None
        of_lora: Any = LoraModel.target_module_mapping
        return [*(ours or of_lora.get(architecture, ()))] or None

    def _peft_defaults(self) -> dict[str, JsonValue]:
        return {
            field.name: None if SEED.search(field.name) else as_json(default_of(field))
            for field in dataclasses.fields(self.config_class)
            if field.name not in self.hidden
        }

    def _config(self, settings: Mapping[str, JsonValue]) -> Any:
        """Return peft's config; what is null in ours but not in peft's keeps peft's default."""
        defaults = {
            field.name: default_of(field) for field in dataclasses.fields(self.config_class)
        }
        return self.config_class(
            task_type="SEQ_CLS",
            **{
                key: value
                for key, value in settings.items()
                if value is not None or defaults[key] is None
            },
        )

    def _refuse_data_driven(self, settings: Mapping[str, Any], where: str) -> None:
        chosen = settings.get("init_lora_weights")
        if isinstance(chosen, str) and chosen.lower() in DATA_DRIVEN:
            raise UserError(
                f"init_lora_weights = {chosen} takes training data or a quantised model",
                where=where,
                allowed="true, false, gaussian, pissa, olora, orthogonal, mica",
            )

    def merged(self, module: nn.Module) -> PreTrainedModel:
        """Return the model with peft's layers folded into its own weights.

        Raises UserError also where peft cannot fold them into this model's layers, or under the
        settings that they were trained with.
        """
        if not self.can_merge:
            return super().merged(module)
        from peft.utils.other import ModulesToSaveWrapper

        # peft would put some methods' heads back by copying a weight, which a head of two layers
        # has not, and leave others' in their wrapper.
        for name, child in list(module.named_modules()):
            if isinstance(child, ModulesToSaveWrapper):
                module.set_submodule(name, child.modules_to_save[child.active_adapters[0]])
        try:
            with expected_warnings():
                model: PreTrainedModel = module.merge_and_unload()  # type: ignore[operator]
        except Exception as error:  # each method of peft checks in its own way what it can fold
            raise UserError(
                f"{self.name} cannot be merged into this model: {first_line(error)}"
            ) from error
        return model

    def save(self, module: nn.Module, folder: Path) -> None:
        """Write a PEFT adapter folder: adapter_config.json and adapter_model.safetensors."""
        # Else peft asks the Hub, for every trial, whether the base's vocabulary is as it was.
        options = {"safe_serialization": True, "save_embedding_layers": False}
        module.save_pretrained(str(folder), **options)  # type: ignore[operator]
        _sort_sets(folder / "adapter_config.json")
        # peft writes an empty model card; the trial's record says more.
        (folder / "README.md").unlink(missing_ok=True)

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """Return the PeftModel that peft itself loads from the folder."""
        from peft import PeftModel

        for name in ADAPTER_FILES:  # without one of them peft would ask the Hub, or unpickle
            if not (folder / name).is_file():
                raise UserError(f"no PEFT adapter here: {name} is missing", where=str(folder))
        config = self._check_config(folder / ADAPTER_FILES[0])
        names = [name for name, _ in model.named_modules()]
        require_bounded(config, names, where=str(folder / ADAPTER_FILES[0]))
        try:
            with expected_warnings():
                module: nn.Module = PeftModel.from_pretrained(model, str(folder))
        except Exception as error:  # a broken adapter makes peft raise whatever it runs into
            cause = first_line(error)
            raise UserError(f"cannot load the adapter: {cause}", where=str(folder)) from error
        return module.eval()

    def _check_config(self, path: Path) -> dict[str, Any]:
        """Return the content of the config.

        Raises UserError where it is not one of this method, or has modules imported.
        """
        where = str(path)
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"not the config of an adapter: {error}", where=where) from error
        if not isinstance(config, dict) or config.get("peft_type") != self.peft_type:
            raise UserError("not an adapter of this method", where=where, allowed=self.peft_type)
        for key in IMPORTING:
            if config.get(key):
                raise UserError(f"{key} is not used here", where=where, allowed="null")
        known = self.settings()
        self.resolve({key: value for key, value in config.items() if key in known}, where=where)
        return config


def _check_tokens(given: Any, model: PreTrainedModel) -> None:
    """Raise UserError if some of the token ids are not in the model's vocabulary."""
    if not given or not isinstance(given, list):
        return
    size = next(model.get_input_embeddings().parameters()).shape[0]
    if min(given) < 0 or max(given) >= size:
        raise UserError(
            f"trainable_token_indices has {max(given)}, the model has {size} tokens",
            allowed=f"ids from 0 to {size - 1}",
        )


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Without peft's warnings of what is as it should be, here and when the model is called.

    BOFT's CUDA extension is not built either. Where a compiler is missing, that fails after a while
    with a page of errors; where one is there, peft would take boft_n_butterfly_factor as it is
    given instead of 1, so that a trial's numbers depended on the machine.
    """
    import torch
    from peft.tuners.boft import layer as boft

    # As torch has it anyway; said so, it does not warn of SHiRA's and FRoD's sparse matrices.
    torch.sparse.check_sparse_tensor_invariants.disable()
    build = boft.get_fbd_cuda
    boft.get_fbd_cuda = lambda: None
    try:
        with warnings.catch_warnings():
            for message in EXPECTED:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        boft.get_fbd_cuda = build


def _sort_sets(path: Path) -> None:
    """Write a config's sets in order: peft does in one that differs from process to process."""
    config = json.loads(path.read_text(encoding="utf-8"))
    for key in SETS.intersection(config):
        if isinstance(config[key], list):
            config[key] = sorted(config[key])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
