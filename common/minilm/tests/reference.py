"""Makes reference.json: what all-MiniLM-L6-v2 says of some texts, computed in double precision
by numpy, with the token ids of the crate `tokenizers`' Python binding.

    python -m pip install numpy safetensors tokenizers
    python common/minilm/tests/reference.py MODEL_DIRECTORY > common/minilm/tests/reference.json

It also writes the hash over the tokens of every character of some scripts, each between two
letters: of those that have no characters which are newer than the tables of `tokenizers`.
"""

import base64
import hashlib
import json
import math
import sys

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

SCRIPTS = [
    (0, 0x5C8),
    (0x1E00, 0x2E00),
    (0x3000, 0xA000),
    (0xAC00, 0xD800),
    (0xF900, 0x10000),
    (0x20000, 0x2FA20),
]
HEADS, LAYERS, TOKENS_MAX = 12, 6, 256
PARAGRAPH = (
    "Before you clean the filter, switch the pump off at the mains and close both valves. "
    "Unscrew the lid anticlockwise, lift the basket out and rinse it under running water; "
    "never use solvents. Check the seal for cracks, grease it thinly, and close the lid hand-tight. "
)
TEXTS = [
    "",
    " \n\t ",
    "a",
    "?",
    "How do I reset the device to its factory settings?",
    "The warranty of the pump lasts 36 months.",
    "reset reset reset reset reset reset reset reset",
    "Où se trouve le numéro de série de l'appareil ? Déjà vérifié à côté.",
    "Die Gewährleistung beträgt 24 Monate; Überspannungsschäden sind ausgeschlossen.",
    "Ünïcödé ÅNGSTRÖM İstanbul ﬁligree ½ x² №",
    "東京タワーはどこですか。 北京的天气怎么样?",
    "서울의 날씨는 어떻습니까? Где находится серийный номер?",
    "הוראות בטיחות تعليمات السلامة खतरा",
    "fn main() { let x: Vec<u8> = vec![0; 16]; println!(\"{x:?}\"); } // why?",
    "GET /api/v2/items?id=42&sort=-name HTTP/1.1\nHost: example.com\n\n{\"a\": [1, 2.5e-3, null]}",
    "| part | price |\n|---|---|\n| seal | 4.20 € |\n| filter | 12,90 € |",
    "emoji 👩‍👩‍👧‍👦 🇦🇹 ❤️ and ​zero\u200bwidth\u00adsoft",
    "[CLS] this is [SEP] only text [MASK] [PAD]",
    "x" * 101 + " " + "y" * 100,
    PARAGRAPH,
    PARAGRAPH * 2,
    PARAGRAPH * 3 + "Now it is one of the longer chunks.",
    PARAGRAPH * 12,
    "supercalifragilisticexpialidocious antidisestablishmentarianism " * 40,
]


def erf(x):
    return np.vectorize(math.erf)(x)


def layer_norm(x, weights, name):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
    return x * weights[name + ".weight"] + weights[name + ".bias"]


def embed(ids, weights):
    def linear(x, name):
        return x @ weights[name + ".weight"].T + weights[name + ".bias"]

    n = len(ids)
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][:n]
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    x = layer_norm(x, weights, "embeddings.LayerNorm")
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}."
        q, k, v = (
            linear(x, f"{name}attention.self.{part}").reshape(n, HEADS, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores = scores / scores.sum(-1, keepdims=True)
        context = (scores @ v).transpose(1, 0, 2).reshape(n, -1)
        x = x + linear(context, name + "attention.output.dense")
        x = layer_norm(x, weights, name + "attention.output.LayerNorm")
        inner = linear(x, name + "intermediate.dense")
        inner = 0.5 * inner * (1 + erf(inner / math.sqrt(2)))
        x = layer_norm(x + linear(inner, name + "output.dense"), weights, name + "output.LayerNorm")
    x = x.mean(0)
    return x / np.linalg.norm(x)


def main(directory):
    weights = load_file(f"{directory}/model.safetensors")
    weights = {name: w.astype(np.float64) for name, w in weights.items() if w.dtype == np.float32}
    tokenizer = Tokenizer.from_file(f"{directory}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(TOKENS_MAX)
    # A text that says [SEP] is a text.
    tokenizer.encode_special_tokens = True

    references = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        vector = base64.b64encode(embed(ids, weights).astype("<f4").tobytes()).decode()
        references.append({"text": text, "ids": ids, "vector": vector})
    digest = hashlib.sha256()
    for first, end in SCRIPTS:
        for code in range(first, end):
            ids = tokenizer.encode(f"a{chr(code)}b").ids
            digest.update(b"".join(i.to_bytes(4, "little") for i in ids))
    print(json.dumps({"unicode": digest.hexdigest(), "references": references}, indent=1, ensure_ascii=True))


main(sys.argv[1])
