"""A small architecture that is not in transformers, and the facts about it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from peftlab.models.family import BlockNames, Family


class ToyConfig(PreTrainedConfig):
    model_type = "toy"

    def __init__(
        self,
        vocab_size: int = 50,
        hidden_size: int = 24,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 3,
        max_position_embeddings: int = 40,
        dropout: float = 0.1,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.max_position_embeddings = max_position_embeddings
        self.dropout = dropout


class ToyEmbeddings(nn.Module):
    """Embeddings without token types, with positions that are always given."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        x = self.word_embeddings(input_ids) + self.position_embeddings(position_ids)
        embedded: Tensor = self.dropout(self.LayerNorm(x))
        return embedded


class ToyMixer(nn.Module):
    """Attention, with names of projections as in no other family."""

    is_causal = False

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.heads, self.head_width = config.num_attention_heads, width // 3
        self.ask, self.tell, self.give = (nn.Linear(width, width) for _ in range(3))
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None, **options: Any) -> Tensor:
        shape = (*x.shape[:2], self.heads, self.head_width)
        q, k, v = (one(x).view(shape).transpose(1, 2) for one in (self.ask, self.tell, self.give))
        attend = ALL_ATTENTION_FUNCTIONS[self.config._attn_implementation]
        dropout = self.drop.p if self.training else 0.0
        scaling = self.head_width**-0.5
        context, _ = attend(self, q, k, v, mask, scaling=scaling, dropout=dropout, **options)
        mixed: Tensor = context.reshape(x.shape)
        return mixed


class ToyLayer(nn.Module):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.mixer = ToyMixer(config)
        self.join, self.first_norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.widen, self.bend = nn.Linear(width, 2 * width), ACT2FN["gelu"]
        self.narrow, self.second_norm = nn.Linear(2 * width, width), nn.LayerNorm(width)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None, **options: Any) -> Tensor:
        x = self.first_norm(x + self.join(self.mixer(x, mask, **options)))
        inner = self.narrow(self.bend(self.widen(x)))
        out: Tensor = self.second_norm(x + self.drop(inner))
        return out


class ToyStack(nn.Module):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.floors = nn.ModuleList(ToyLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, x: Tensor, mask: Tensor | None, **options: Any) -> BaseModelOutput:
        for layer in self.floors:
            x = layer(x, mask, **options)
        return BaseModelOutput(last_hidden_state=x)


class ToyPreTrainedModel(PreTrainedModel):
    config_class = ToyConfig
    base_model_prefix = "toy"
    _supports_sdpa = True
    _supports_attention_backend = True


class ToyModel(ToyPreTrainedModel):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.embed, self.stack = ToyEmbeddings(config), ToyStack(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embed.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embed.word_embeddings = value  # type: ignore[assignment]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        **options: Any,
    ) -> BaseModelOutput:
        if position_ids is None:
            position_ids = input_ids.new_ones(input_ids.shape).cumsum(1) - 1
        mask = None if attention_mask is None else attention_mask[:, None, None].bool()
        found: BaseModelOutput = self.stack(self.embed(input_ids, position_ids), mask, **options)
        return found


class ToyForSequenceClassification(ToyPreTrainedModel):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.toy = ToyModel(config)
        self.verdict = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids: Tensor, **options: Any) -> SequenceClassifierOutput:
        states = self.toy(input_ids, **options).last_hidden_state
        return SequenceClassifierOutput(logits=self.verdict(states[:, 0]))


TOY = Family(
    model_type="toy",
    title="An architecture of the tests",
    encoder="stack",
    layer_list="floors",
    embeddings=("embed",),
    layers=(
        BlockNames(
            query="mixer.ask",
            key="mixer.tell",
            value="mixer.give",
            attention="mixer",
            num_heads="mixer.heads",
            head_width="mixer.head_width",
            attention_dropout="mixer.drop",
            attention_output="join",
            attention_norm="first_norm",
            up="widen",
            activation="bend",
            down="narrow",
            down_dropout="drop",
            last_norm="second_norm",
        ),
    ),
    head=lambda model, x_BD: model.verdict(x_BD),
    outputs=("verdict",),
    target_modules=("ask", "give"),
)
