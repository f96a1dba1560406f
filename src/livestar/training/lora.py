"""Low-rank adapters on the language model, for networks that are too large to train whole.

Source: LiveStar (arXiv 2511.05299), published training code: rank 16, alpha twice the rank, dropout 0.05.
"""

from __future__ import annotations

from livestar.model import LiveStarModel

TARGETS = r"language_model\..*\.(wqkv|wo|w1|w2|w3)"


def add_lora(network: LiveStarModel, rank: int) -> LiveStarModel:
    """Freezes the network and puts adapters into its language model, in place."""
    from peft import LoraConfig, inject_adapter_in_model

    network.requires_grad_(requires_grad=False)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.05, target_modules=TARGETS)
    inject_adapter_in_model(config, network)
    return network


def merged(network: LiveStarModel) -> LiveStarModel:
    """Folds adapters, where there are any, into the weights, in place."""
    from peft.tuners.lora import Linear

    for name, module in list(network.named_modules()):
        if isinstance(module, Linear):
            module.merge()
            network.set_submodule(name, module.get_base_layer())
    return network
