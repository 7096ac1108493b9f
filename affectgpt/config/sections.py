"""The recipe: every setting of a training run, typed, with its meaning and unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from affectgpt.config import rules, typed
from affectgpt.models.settings import COUNT, SHARE, Above, AtLeast, Between, ModelSettings


@dataclass
class ModelSection(ModelSettings):
    """What the model is made of: all of `ModelSettings`, and what follows. Encoder and LLM names: hub id, local folder,
    or "starter:NAME"."""

    llm: str = "starter:smollm2-135m-instruct"
    """Name of the causal language model."""
    audio_encoder: str | None = "starter:whisper-tiny.en"
    """Name of the audio encoder; null for a model that does not hear."""
    visual_encoder: str | None = "starter:face-expression"
    """Name of the encoder of face crops and frames; null for a model that does not see."""
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"
    """Attention kernel of the LLM; "auto" is sdpa, which on a GPU takes torch's flash attention."""
    dtype: Literal["auto", "float32", "bfloat16"] = "float32"
    """Number format that the LLM computes in, and of its frozen weights; what is trained stays float32. "auto" is
    bfloat16 where every device of the run computes it natively, else float32; a continued run keeps its own."""
    quantization: Literal["none", "8bit", "4bit"] = "none"
    """Frozen LLM weights in 8 or 4 bits by bitsandbytes: with LoRA this is QLoRA."""
    train_llm: bool = False
    """Train all weights of the LLM (full fine-tuning) instead of LoRA."""
    encoder_dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format that frozen encoders compute in. "auto" is the LLM's where raw clips are encoded in every step
    (data.cache=false), else float32: features that are kept are always computed in float32."""
    train_encoders: bool = False
    """Train the encoders too. Their features can then not be kept."""


@dataclass
class CorpusSection:
    """One corpus of a mixture."""

    reader: str = "manifest"
    """Name of the reader of its files, as `affectgpt data list` shows it."""
    root: str | None = None
    """Its folder, of "manifest" the manifest; ${NAME} stands for a variable of the environment."""
    protocol: str = "official"
    """Which clips are trained, validated and tested on: "official", "hold-out", "fold:K", "video-disjoint",
    "speaker-disjoint", "leave-session:K" (`data.protocols`)."""
    weight: Annotated[float, AtLeast(0)] = 1.0
    """How often an epoch takes each of its training clips: 0.1 takes a tenth of them, another tenth in the next epoch;
    2 takes each twice, 0 none."""
    questions: dict[str, Annotated[float, AtLeast(0)]] | None = None
    """Kind of question -> how often it is asked, relative to the others; null asks `data.questions`."""
    labels: list[str] = field(default_factory=list)
    """The closed set of emotions to choose from; empty takes that of the corpus's record."""
    valence_range: list[float] | None = None
    """Lowest and highest valence; null takes those of the corpus's record, else -1 and 1."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the reader, as `affectgpt data info NAME` shows them."""


@dataclass
class DataSection:
    """Which clips are used, and what training does to them. Relative paths start where the job is run."""

    corpora: list[CorpusSection] = field(default_factory=list)
    """The corpora of a mixture."""
    manifests: list[str] = field(default_factory=list)
    """Manifests, one clip a row: short for `corpora` of the reader "manifest" with weight 1 and official splits."""
    root: str | None = None
    """Folder that the media paths in `manifests` start from; null is the folder of each manifest."""
    missing_media: Literal["refuse", "leave_out"] = "refuse"
    """What is done where files of clips are absent: stop with their number and names, or train on what is there."""
    shared_clips: Literal["refuse", "leave_out", "allow"] = "refuse"
    """What is done with training clips that a validation or test split holds too, or that MER-UniBench tests on: stop
    with their names, leave them out of training, or train on them; with their number."""
    train_split: str = "train"
    """Name of the split that weights are fitted on."""
    validation_split: str = "validation"
    """Name of the split that checkpoints are chosen on."""
    test_split: str = "test"
    """Name of the split that training never opens."""
    questions: dict[str, Annotated[float, AtLeast(0)]] = field(
        default_factory=lambda: {"description": 1.0, "labels": 1.0})
    """Kind of question -> how often it is asked, relative to the others; a recipe's mapping replaces this."""
    questions_together: bool = False
    """Training asks every clip all kinds of `questions` above 0 in each epoch, in one row with one prompt (branches
    that share a prefix) instead of drawing one; needs train.batching=packed."""
    modality_dropout: Annotated[float, SHARE] = 0.3
    """Probability that a present stream is hidden in training; one always stays."""
    text_dropout: Annotated[float, SHARE] = 0.3
    """Probability that the words are hidden in training, where another stream stays."""
    max_skip_ratio: Annotated[float, SHARE] = 0.005
    """Share of clips that may fail to be read before the job stops, 0 to 1."""
    workers: Annotated[int, AtLeast(0)] = 0
    """Threads that read clips ahead; 0 reads one clip after the other."""
    reader: Literal["pyav", "decord"] = "pyav"
    """Library that decodes video."""
    cache: bool = True
    """Compute the features of frozen encoders once and train on them; false encodes raw clips in every step."""
    store: str | None = None
    """Folder of a feature store made by `affectgpt extract`; null makes one inside `train.output`."""
    store_dtype: Literal["float32", "float16"] = "float16"
    """Number format of stored features."""
    speed_perturbation: list[Annotated[float, Between(0.5, 2)]] = field(default_factory=list)
    """Further speeds at which the sound of a training clip is heard, 1.1 is a tenth faster; pitch moves with it."""
    transcribe: bool = False
    """Take words from speech recognition where a row has none."""


@dataclass
class TrainSection:
    """How weights are fitted."""

    output: str = "runs/affectgpt"
    """Folder of checkpoints, logs and the trained model."""
    epochs: Annotated[float, Above(0)] = 3.0
    """Passes over the training split; a part of one is allowed."""
    max_steps: Annotated[int, AtLeast(1, also=-1)] = -1
    """Optimiser steps after which training ends; -1 leaves it to `epochs`."""
    batching: Literal["packed", "grouped", "random"] = "grouped"
    """What goes through the model together: clips packed into one row without padding, a padded batch of like
    lengths, or a padded batch as it comes."""
    batch_size: Annotated[int, COUNT] = 16
    """Clips in one forward pass on one device; 1 where `batching` is "packed"."""
    pack_tokens: Annotated[int, AtLeast(0)] = 0
    """Tokens of a packed row, the forward pass of one device; 0 where nothing is packed."""
    accumulation: Annotated[int, COUNT] = 1
    """Forward passes of each device for one optimiser step."""
    learning_rate: Annotated[float, Above(0)] = 2e-4
    """Peak learning rate of the LLM: of LoRA, or of all its weights where they are trained."""
    projector_learning_rate: Annotated[float, Above(0)] = 1e-3
    """Peak learning rate of projectors and fusion, which start from nothing."""
    encoder_learning_rate: Annotated[float, Above(0)] = 1e-5
    """Peak learning rate of the encoders where they are trained."""
    learning_rates: dict[str, Annotated[float, Above(0)]] = field(default_factory=dict)
    """Start of a parameter's name -> its peak learning rate, before the three above; the longest start counts."""
    projector_warmup_steps: Annotated[int, AtLeast(0)] = 0
    """Steps at the start in which only projectors and fusion move."""
    weight_decay: Annotated[float, AtLeast(0)] = 0.01
    """Weight decay of AdamW."""
    warmup_ratio: Annotated[float, SHARE] = 0.05
    """Share of all steps in which the learning rate rises from 0, 0 to 1."""
    schedule: Literal["cosine", "constant", "linear"] = "cosine"
    """Course of the learning rate after the warm-up; "cosine" and "linear" end at 0."""
    clip_norm: Annotated[float, AtLeast(0)] = 1.0
    """Largest norm of all gradients together; 0 does not clip."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Start of all random numbers."""
    evaluate_every: Annotated[int, AtLeast(0)] = 0
    """Steps between two validations; 0 is after each epoch."""
    save_every: Annotated[int, AtLeast(0)] = 0
    """Steps between two checkpoints, a multiple of `evaluate_every`; 0 is after each epoch."""
    keep_checkpoints: Annotated[int, COUNT] = 2
    """Checkpoints that are kept; the best one is always among them."""
    log_every: Annotated[int, COUNT] = 10
    """Steps between two lines of the log."""
    alignment_epochs: Annotated[int, AtLeast(0)] = 0
    """Epochs before tuning in which projectors alone learn to point at the word embeddings of the labels."""
    alignment_learning_rate: Annotated[float, Above(0)] = 1e-3
    """Peak learning rate of the alignment epochs."""
    alignment_weight: Annotated[float, AtLeast(0)] = 0.0
    """Weight of the alignment loss beside the LLM's loss during tuning; 0 leaves it out."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, about a third more time."""
    engine: Literal["torch", "deepspeed"] = "torch"
    """What steps the weights; both run on any number of devices."""
    zero_stage: Annotated[int, Between(0, 3)] = 0
    """DeepSpeed shares out over devices: 1 the optimizer, 2 gradients too, 3 all weights too; 0 shares nothing."""
    offload_optimizer: bool = False
    """Keep the optimizer's state in the memory of the host; needs zero_stage 1 or more."""
    offload_parameters: bool = False
    """Keep weights in the memory of the host; needs zero_stage 3."""
    deepspeed_config: str | None = None
    """JSON file whose keys are added to DeepSpeed's configuration, such as bucket sizes."""
    peak_flops: Annotated[float, AtLeast(0)] = 0.0
    """Operations a second that MFU is a share of; 0 takes the data sheet of a known GPU, or measures a matmul."""
    report_to: list[Literal["wandb", "trackio"]] = field(default_factory=list)
    """Trackers to report to beside the JSONL log and TensorBoard, which are always written."""
    resume: bool | Literal["auto"] = "auto"
    """Go on from the newest checkpoint: true demands one, "auto" takes one where it is, false starts anew."""
    threads: Annotated[int, AtLeast(0)] = 0
    """CPU threads of each process; 0 takes all cores."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model is computed; "auto" takes a GPU where there is one."""
    timeout_minutes: Annotated[float, Above(0)] = 60.0
    """Minutes that a rank waits for the tensors of another one before the run fails; messages wait for days."""


@dataclass
class Recipe:
    """Everything that one training run is made of."""

    name: str = "recipe"
    """Short name, for folders and reports."""
    description: str = ""
    """One sentence: what this recipe is for."""
    model: ModelSection = field(default_factory=ModelSection)
    """What the model is made of."""
    data: DataSection = field(default_factory=DataSection)
    """Which clips are used."""
    train: TrainSection = field(default_factory=TrainSection)
    """How weights are fitted."""

    def validate(self) -> None:
        """Raise one ValueError that names all settings that are out of range or contradict each other."""
        problems = typed.range_problems(self) + rules.contradictions(self)
        if problems:
            raise ValueError(f"recipe {self.name!r}: {'; '.join(problems)}")
