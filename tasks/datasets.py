"""The published files that the benchmarks' tasks read: pinned addresses, checksums, licences. None is bundled."""

from __future__ import annotations

from janus_eval.datasets import Dataset, File

MMBENCH_AT = "https://opencompass.openxlab.space/utils/benchmarks/MMBench"
# The addresses and MD5 sums are those of VLMEvalKit at e8e78f0, vlmeval/dataset/image_mcq.py. OpenCompass publishes no
# SHA-256 and no sizes.
MMBENCH_MD5 = {
    "MMBench_DEV_EN": "b6caf1133a01c6bb705cf753bb527ed8",
    "MMBench_DEV_CN": "08b8fc3324a5ed74155350f57be69fbd",
    "MMBench_TEST_EN": "6939fadb0ce626fefc0bdc9c64efc528",
    "MMBench_TEST_CN": "7e1239baf0ee4c8b513e19705a0f317e",
    "MMBench_DEV_EN_V11": "30c05be8f2f347a50be25aa067248184",
    "MMBench_DEV_CN_V11": "593f9b5f6bea453d870a798b34ae4f37",
    "MMBench_TEST_EN_V11": "8d1a704e791df6f5d9fb3ef782b65365",
    "MMBench_TEST_CN_V11": "156e6569f9547afb16603eca16e85373",
}

GENEVAL_COMMIT = "af4902f24d3ca90ebbb446dd9891a59e0f82725f"
ELLA_COMMIT = "3c228f1dc6c4d3cad0a47493816151a419f14db3"

mmbench = Dataset(
    "mmbench",
    "MMBench: multiple choice about pictures, versions 1.0 and 1.1, English and Chinese",
    tuple(File(f"{name}.tsv", f"{MMBENCH_AT}/{name}.tsv", f"md5:{digest}") for name, digest in MMBENCH_MD5.items()),
    licence="none stated; the pictures come from public data sets and from the web",
    source="https://github.com/open-compass/MMBench",
)

geneval = Dataset(
    "geneval",
    "GenEval: 553 prompts with what their pictures must show",
    (
        File(
            "evaluation_metadata.jsonl",
            f"https://raw.githubusercontent.com/djghosh13/geneval/{GENEVAL_COMMIT}/prompts/evaluation_metadata.jsonl",
            "sha256:5c48e0813e812e3c373fa5c8ed07a8f0a483be30272b4427b0559c8048e67c13",
            size=85209,
        ),
    ),
    licence="MIT",
    source="https://github.com/djghosh13/geneval",
)

dpg = Dataset(
    "dpg",
    "DPG-Bench: 1,065 long prompts and the questions about each",
    (
        File(
            "dpg_bench.csv",
            f"https://raw.githubusercontent.com/TencentQQGYLab/ELLA/{ELLA_COMMIT}/dpg_bench/dpg_bench.csv",
            "git-blob:98457fc9901943f51ff9a30367250fc292533bed",
        ),
        # 1,065 small files: one zip of the whole repository takes seconds where they one by one would take minutes.
        File(
            "prompts",
            f"https://codeload.github.com/TencentQQGYLab/ELLA/zip/{ELLA_COMMIT}",
            "git-tree:ac3ba27bf2e1c3ec189fe2e00681f75f4b78d683",
            inside=f"ELLA-{ELLA_COMMIT}/dpg_bench/prompts",
        ),
    ),
    licence="Apache-2.0",
    source="https://github.com/TencentQQGYLab/ELLA",
)

# Address and MD5 sum as VLMEvalKit has them at e8e78f0, vlmeval/dataset/image_vqa.py.
ocrbench = Dataset(
    "ocrbench",
    "OCRBench: a thousand questions about text in pictures",
    (
        File(
            "OCRBench.tsv",
            "https://opencompass.openxlab.space/utils/VLMEval/OCRBench.tsv",
            "md5:e953d98a987cc6e26ef717b61260b778",
        ),
    ),
    licence="none stated; the pictures come from 29 public data sets",
    source="https://github.com/Yuliang-Liu/MultimodalOCR",
)

# The address's revision and the prompts' SHA-256 are those of sooyoung-ryu/Q-Drift at c0d4e15,
# manifests/mjhq_splits.json; the zip's SHA-256 is the one that the hub shows for it.
MJHQ_AT = "https://huggingface.co/datasets/playgroundai/MJHQ-30K/resolve/15b0a659e066e763d0e9a6cd8f00e25f8af5e084"

mjhq = Dataset(
    "mjhq",
    "MJHQ-30K: 30,000 prompts with Midjourney's pictures of them, the references of FID (3.6 GB)",
    (
        File(
            "meta_data.json",
            f"{MJHQ_AT}/meta_data.json",
            "sha256:db9cc0a0c637adbb16eda4c644e46dd23b63111f70434649d66a601e0f0eef30",
        ),
        File(
            "mjhq30k_imgs.zip",
            f"{MJHQ_AT}/mjhq30k_imgs.zip",
            "sha256:dacdc4328f294696ef0ee389be4bcf3fc96d112060ef10c13384836b54d4a8ec",
        ),
    ),
    licence="none stated; the pictures were made with Midjourney",
    source="https://huggingface.co/datasets/playgroundai/MJHQ-30K",
)
