"""savp: a recurrent generator with a latent code, trained as a variational autoencoder and by video discriminators.

Lee, Zhang, Ebert, Abbeel, Finn & Levine (2018): Stochastic Adversarial Video Prediction, arXiv 1804.01523; layer sizes
from the authors' code. With G = `ngf` (32 in the paper), E = `nef` (64) and `nz` (8) numbers in a code:

    posterior     q(z_t | x_t, x_{t+1}) = N(mu_t, sigma_t): convolutions 4x4 with stride 2 of E, 2E, 4E channels on the
                  two frames (leaky ReLU of slope 0.2, instance normalisation from the second on), the means over the
                  grid of the two frames, of the first layer and of the last, and dense layers for mu and log sigma^2;
                  prior p(z_t) = N(0, 1)
    code          an LSTM of nz units reads z_0 .. z_t; its output enters every layer of the step from t to t+1
    encoder       on [x_t, x_0, known_{t+1}]: convolutions with stride 2 of G (5x5), 2G, 4G, 8G, 8G channels (3x3); a
                  ConvLSTM (`rnn_kernel_size`, 5) behind each; 2 of them below 64 grid points, 3 from 64, 4 from 128, 5
                  from 256 (the smaller of H and W)
    decoder       the same backwards, bilinear upsampling and a 3x3 convolution, with skip connections; a ConvLSTM
                  behind each but the last
    images        `num_transformed_images` (4) transformations of x_t: CDNA (Finn et al. 2016; `kernel_size` 5), or
                  `transformation` flow, bilinear interpolation; x_t itself; x_0; and a scratch image
    x_{t+1}       the sum of the images, with masks (a softmax over the images at each grid point) as weights

Frames of the context are true ones, later ones the generator's own; in training a later frame is shown as it truly
was with probability k / (k + exp(step / k)), k = `schedule_sampling_k` (Bengio et al. 2015). In training the generator
runs twice, with codes of the posterior and with codes of the prior (section 3.3; x' and x''):

    L      = l1_weight L1(x, x') + kl_weight KL(q || p) + video_sn_vae_gan_weight L_GAN(D_vae, x')
             + video_sn_gan_weight L_GAN(D, x'') + vae_gan_feature_cdist_weight L_features(D_vae, x')
    KL     = mean over t of the sum over nz of (mu^2 + sigma^2 - log sigma^2 - 1) / 2; its weight rises linearly
             between the steps `kl_anneal_steps` (and those of L_GAN and L_features between `gan_anneal_steps`)
    L_GAN  = (D(x') - 1)^2, and D is trained on (D(x) - 1)^2 + D(x')^2 (least squares, Mao et al. 2017)

Both discriminators (`layers.video_discriminator`) see a random clip of `clip_length` of the frames 1 .. T-1. L1 is over
these frames, too: the one-step forecasts of the context count. Two variants of the paper are models of their own:
**savp_vae** has no discriminators, **savp_gan** neither posterior nor KL (its L1 is on x'').

Ours, and why:

- The code is added behind each normalisation, as a shift of each channel (a dense layer). The authors tile it over the
  grid and join it to the input of each convolution; instance normalisation then takes it away again, but for the edges.
  The same would happen to all that is the same on the whole grid (clocks, the mean temperature), so the means of the
  inputs go the same way as the code.
- The posterior's dense layers read the means of the frames and of the first layer as well as those of the last: without
  them the normalisation takes away how large a change is, and what is the same at all points, so that no code says it.
- The last layers (scratch image and masks) see the inputs as well: at the finest scale there is no skip connection,
  and coasts and mountains among the known channels are finer than the features.
- Values are z-scored, so that there is no sigmoid; the scratch image is x_t plus a change where `residual`.
- Convolutions with stride 2 instead of convolutions and mean pools; kernels of CDNA from means over 4 x 4 fields of
  the coarsest features instead of all of them: weights fit any grid (of the same number of scales).
- A ConvLSTM stands behind every layer; the authors leave out that of the finest scale from 128 grid points on, and
  those of the two finest from 256. Flows are read from the features directly (theirs: a convolution between).
- Each loss is a mean; nothing mixes sequences. The two players have an Adam each (`beta1` 0.5, `beta2` 0.999 in the
  paper). The templates have G = 16, F = 8, E = 16, which a laptop trains, a higher rate (0.001 for the paper's 0.0002),
  and shorter schedules; kl_weight is that of KTH (BAIR: 1). savp_vae has the weights of savp, the authors' has
  l1_weight 1, kl_weight 0.001 (BAIR) or 0.00001 (KTH) and beta1 0.9.

Forecasts, and the branch of the prior, take the codes of the context's steps from the posterior, where there is one, as
the authors' later code does (both frames are known there), and those behind it from the prior.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from keras import ops

from video_prediction_tools.errors import InputError
from video_prediction_tools.models.base import DataSpec, Phase, VideoPredictionModel, require_smallest_grid
from video_prediction_tools.models.hparams import CommonHparams, hparam, two_steps
from video_prediction_tools.models.layers import gaussian, noise
from video_prediction_tools.models.layers.reflection import reflect_edges
from video_prediction_tools.models.layers.savp_generator import SAVPGenerator
from video_prediction_tools.models.layers.savp_posterior import SAVPPosterior
from video_prediction_tools.models.layers.scheduled_sampling import choose, forecast_shown, with_unseen_lead
from video_prediction_tools.models.layers.video_discriminator import (
    ADVERSARIAL_LOSSES,
    VideoDiscriminator,
    adversarial_loss,
    feature_distance,
    random_clips,
)
from video_prediction_tools.models.optimizers import adam
from video_prediction_tools.models.players import AdversarialHparams, judged_in_full, players
from video_prediction_tools.models.schedules import inverse_sigmoid_ends, ramp_between

POSTERIOR, PRIOR = "vae", "prior"  # the two ways to a code; also the names of their discriminators


@dataclass
class _GeneratorHparams(CommonHparams):
    """What savp and its variants have; names are the original's."""

    loss_fun: str = hparam(
        "mae",
        "loss of the frames, on normalised values (the paper: mae)",
        choices=("mse", "mae", "huber"),
    )
    beta1: float = hparam(0.5, "decay of Adam's mean of the gradient", low=0.0, high=0.999999)
    beta2: float = hparam(0.999, "decay of Adam's mean of the squared gradient", low=0.0, high=0.999999)
    l1_weight: float = hparam(100.0, "weight of the loss of the frames (`loss_fun`)", low=0.0, high=1e6)
    nz: int = hparam(8, "numbers in a latent code", low=1, high=4096)
    ngf: int = hparam(32, "channels of the generator's first scale", low=1, high=4096)
    rnn_kernel_size: int = hparam(5, "width of the convolutions of the LSTMs, on their grid", low=1, high=31)
    transformation: str = hparam(
        "cdna", "how the last frame is transformed: by predicted kernels or flows", choices=("cdna", "flow")
    )
    kernel_size: int = hparam(5, "width of the predicted CDNA kernels, in grid points; odd", low=1, high=31)
    num_transformed_images: int = hparam(4, "number of transformed images", low=1, high=64)
    residual: bool = hparam(
        True, "the scratch image is the last frame and a change, instead of being a new frame"
    )
    schedule_sampling_k: float = hparam(
        900.0,
        "k, in steps: true frames are shown to the forecast with probability k / (k + exp(step / k)); 0: never",
        low=0.0,
        high=1e7,
    )


@dataclass
class SAVPVAEHparams(_GeneratorHparams):
    """Hyper-parameters of savp_vae."""

    nef: int = hparam(64, "channels of the posterior's first layer", low=1, high=4096)
    kl_weight: float = hparam(0.01, "weight of the KL loss, in the end", low=0.0, high=1e6)
    kl_anneal_steps: list[int] = two_steps(
        [50_000, 100_000],
        "steps between which the weight of the KL loss rises from 0; empty: it is whole from the start",
    )


@dataclass
class SAVPGANHparams(AdversarialHparams, _GeneratorHparams):
    """Hyper-parameters of savp_gan."""

    ndf: int = hparam(32, "channels of the discriminators' first layer", low=1, high=1024)
    clip_length: int = hparam(10, "frames that a discriminator sees", low=1, high=1000)
    gan_loss_type: str = hparam(
        "LSGAN", "loss of the judgements: least squares or cross entropy", choices=ADVERSARIAL_LOSSES
    )
    video_sn_gan_weight: float = hparam(
        0.1, "weight of the adversarial loss with codes of the prior", low=0.0, high=1e6
    )
    gan_feature_cdist_weight: float = hparam(
        10.0, "weight of the distance of its discriminator's features", low=0.0, high=1e6
    )


@dataclass
class SAVPHparams(SAVPVAEHparams, SAVPGANHparams):
    """Hyper-parameters of savp."""

    gan_feature_cdist_weight: float = hparam(
        0.0, "weight of the distance of the features, with codes of the prior", low=0.0, high=1e6
    )
    video_sn_vae_gan_weight: float = hparam(
        0.1, "weight of the adversarial loss with codes of the posterior", low=0.0, high=1e6
    )
    vae_gan_feature_cdist_weight: float = hparam(
        10.0, "weight of the distance of its discriminator's features", low=0.0, high=1e6
    )


class SAVP(VideoPredictionModel):
    """Stochastic adversarial video prediction; see the module's text."""

    Hparams = SAVPHparams
    stochastic = True
    model_name: ClassVar[str] = "savp"
    has_posterior: ClassVar[bool] = True

    def __init__(self, spec: DataSpec, hparams: _GeneratorHparams):
        super().__init__(spec, hparams, name=self.model_name)
        if hparams.kernel_size % 2 == 0:
            raise InputError(
                "hyper-parameter kernel_size", f"{hparams.kernel_size} is even", "give an odd number"
            )
        if (
            hparams.xla
        ):  # TensorFlow's scan does not say how often it turns, without which XLA has no gradient
            raise InputError(
                "hyper-parameter xla", f"XLA cannot compile {self.model_name}", "leave it at false"
            )
        scales = number_of_scales(spec.height, spec.width)
        self.padding = tuple(_padding(points, scales) for points in (spec.height, spec.width))
        # edges are padded by reflection, at most by as many points as there are
        require_smallest_grid(spec, 4, self.model_name)
        self.generator = SAVPGenerator(
            hparams.ngf,
            scales,
            hparams.rnn_kernel_size,
            hparams.nz,
            hparams.transformation,
            hparams.kernel_size,
            hparams.num_transformed_images,
            hparams.residual,
            name="generator",
        )
        self.posterior = None
        if self.has_posterior:
            shortest = min(spec.height + self.padding[0], spec.width + self.padding[1])
            # at least 2 points are left: a single one would be normalised away
            layers = min(3, shortest.bit_length() - 2)
            self.posterior = SAVPPosterior(hparams.nef, hparams.nz, layers, name="posterior")
        self.weights_of_judgements = self._weights_of_judgements()
        self.discriminators = {
            branch: VideoDiscriminator(hparams.ndf, name=f"discriminator_{branch}")
            for branch, weights in self.weights_of_judgements.items()
            if any(weights)
        }
        self.branches = [POSTERIOR] if self.has_posterior else []
        if PRIOR in self.discriminators or not self.has_posterior:
            self.branches.append(PRIOR)

    def _weights_of_judgements(self) -> dict[str, tuple[float, float]]:
        """Return, for each branch, the weights of the adversarial and of the feature loss."""
        hparams = self.hparams
        return {
            POSTERIOR: (hparams.video_sn_vae_gan_weight, hparams.vae_gan_feature_cdist_weight),
            PRIOR: (hparams.video_sn_gan_weight, hparams.gan_feature_cdist_weight),
        }

    def build_weights(self) -> None:
        """Make all weights by one step of the generator (a forecast has twenty) and one judgement of each player."""
        spec = self.spec
        grid = (spec.height, spec.width)
        frames = ops.zeros((1, 2, *grid, spec.channels))
        frame = self._padded(frames)[:, 0]
        known = self._padded(ops.zeros((1, 1, *grid, len(spec.known))))[:, 0] if spec.known else None
        code = ops.zeros((1, self.hparams.nz))
        self.generator(frame, frame, known, code, self.generator.initial_state(frame))
        if self.posterior:
            self._posterior(frames)
        for discriminator in self.discriminators.values():
            discriminator(frames)
        self.built = True

    def roll_out(self, frames: Any, known: Any, codes: Any, shown: Any = None) -> Any:
        """Return the frames 1 .. Tc+Tl-1 as the generator makes them, [B, Tc+Tl-1, H, W, C].

        Arguments:
            frames: [B, Tc, H, W, C], or [B, Tc+Tl, H, W, C] where some are `shown`.
            known: [B, Tc+Tl, H, W, K].
            codes: z_0 .. z_{Tc+Tl-2}, [B, Tc+Tl-1, nz].
            shown: [B, Tc+Tl-1], where the generator is shown the true frames 0 .. Tc+Tl-2 instead of its own (see
                `scheduled_sampling.draw_shown`); None: those of the context.
        """
        spec = self.spec
        frames, first = ops.cast(frames, "float32"), self._padded(frames[:, :1])[:, 0]
        true, shown = with_unseen_lead(frames, shown, spec.context_frames, spec.lead_frames)
        series = [true, shown, codes]
        if spec.known:
            series.append(ops.cast(known[:, 1:], "float32"))

        def step(carried: Any, now: Any) -> tuple[Any, Any]:
            frame = self._padded(choose(now[1], now[0], carried[0])[:, None])[:, 0]
            ahead = self._padded(now[3][:, None])[:, 0] if spec.known else None
            frame, state = self.generator(frame, first, ahead, now[2], carried[1])
            carried = (frame[:, : spec.height, : spec.width], state)
            return carried, carried  # all backends stack what is carried, and nothing else

        by_time = [ops.swapaxes(one, 0, 1) for one in series]
        start = (frames[:, 0], self.generator.initial_state(first))
        _, (made, _) = ops.scan(step, start, by_time)
        return ops.swapaxes(made, 0, 1)

    def forecast(self, context: Any, known: Any, seed: Any = 0) -> Any:
        """Forecast the lead frames, with codes drawn by `seed`."""
        return self.roll_out(context, known, self._codes_ahead(context, seed))[
            :, self.spec.context_frames - 1 :
        ]

    def phases(self, total_steps: int) -> list[Phase]:
        """Return the update of the discriminators, where there are any, and that of generator and posterior."""
        hparams = self.hparams
        return players(
            self,
            self.discriminators.values(),
            lambda: adam(hparams, total_steps, beta_1=hparams.beta1, beta_2=hparams.beta2),
            self._discriminator_loss,
            self._generator_loss,
        )

    def schedules_end(self) -> int:
        """Return the step at which the losses of codes and judges count in full and true frames are no longer shown."""
        hparams = self.hparams
        codes = max(hparams.kl_anneal_steps, default=0) if self.posterior else 0
        judges = judged_in_full(hparams, self.discriminators)
        return max(inverse_sigmoid_ends(hparams.schedule_sampling_k), codes, judges)

    def after_step(self) -> None:
        """Update the spectral normalisation."""
        for discriminator in self.discriminators.values():
            discriminator.after_step()

    def _drawn(self, stream: str, batch: Any, seed: Any) -> Any:
        steps = self.spec.context_frames + self.spec.lead_frames - 1
        return noise.normal(seed, f"{stream} codes", batch, (steps, self.hparams.nz))

    def _posterior(self, frames: Any) -> tuple[Any, Any]:
        """Return mu and log sigma^2 of the codes, each [B, T-1, nz], float32."""
        frames = self._padded(frames)
        pairs = ops.concatenate([frames[:, :-1], frames[:, 1:]], axis=-1)
        steps = pairs.shape[1]
        mean, log_variance = self.posterior(ops.reshape(pairs, (-1, *pairs.shape[2:])))
        return tuple(ops.reshape(one, (-1, steps, self.hparams.nz)) for one in (mean, log_variance))

    def _codes_ahead(self, context: Any, seed: Any) -> Any:
        """Return codes [B, Tc+Tl-1, nz] that know nothing of the frames after the context [B, Tc, H, W, C]."""
        drawn, known = self._drawn("prior", context.shape[0], seed), self.spec.context_frames - 1
        if not self.posterior or not known:
            return drawn
        of_posterior = self._drawn("posterior", context.shape[0], seed)[:, :known]
        codes = gaussian.sample(*self._posterior(context), of_posterior)
        return ops.concatenate([codes, drawn[:, known:]], axis=1)

    def _branches(self, frames: Any, known: Any, step: Any, seed: Any) -> tuple[dict[str, Any], Any]:
        """Return the frames 1 .. T-1 of each branch, and the KL loss."""
        batch, codes, divergence = frames.shape[0], [], None
        for branch in self.branches:
            if branch == PRIOR:
                codes.append(self._codes_ahead(frames[:, : self.spec.context_frames], seed))
                continue
            mean, log_variance = self._posterior(frames)
            drawn = self._drawn("posterior", batch, seed)
            codes.append(gaussian.sample(mean, log_variance, drawn))
            divergence = gaussian.divergence(mean, log_variance)
        spec, k = self.spec, self.hparams.schedule_sampling_k
        shown = forecast_shown(spec.context_frames, spec.lead_frames, batch, step, seed, k)
        # both branches in one batch: half the operations to trace
        times = len(self.branches)
        frames, known, shown = (ops.concatenate([one] * times) for one in (frames, known, shown))
        made = ops.split(self.roll_out(frames, known, ops.concatenate(codes), shown), times)
        return dict(zip(self.branches, made, strict=True)), divergence

    def _generator_loss(self, frames: Any, known: Any, step: Any, seed: Any) -> dict[str, Any]:
        hparams, truth = self.hparams, frames[:, 1:]
        made, divergence = self._branches(frames, known, step, seed)
        error = self.frame_loss(made[self.branches[0]], truth)
        parts, loss = {"l1": error}, hparams.l1_weight * error
        if divergence is not None:
            weight = ramp_between(step, hparams.kl_anneal_steps)
            parts["kl"] = divergence
            loss = loss + hparams.kl_weight * weight * divergence
        for branch, discriminator in self.discriminators.items():
            adversarial, features = self.weights_of_judgements[branch]
            clips = random_clips([truth, made[branch]], hparams.clip_length, seed)
            (_, true), (judgement, faked) = _judged(discriminator, clips)
            parts[f"gan_{branch}"] = adversarial_loss(hparams.gan_loss_type, judgement, real=True)
            judged = adversarial * parts[f"gan_{branch}"]
            if features:
                parts[f"features_{branch}"] = feature_distance(true, faked)
                judged = judged + features * parts[f"features_{branch}"]
            loss = loss + ramp_between(step, hparams.gan_anneal_steps) * judged
        return {"loss": loss, **parts}

    def _discriminator_loss(self, frames: Any, known: Any, step: Any, seed: Any) -> dict[str, Any]:
        made, _ = self._branches(frames, known, step, seed)
        kind, parts = self.hparams.gan_loss_type, {}
        for branch, discriminator in self.discriminators.items():
            sequences = [frames[:, 1:], ops.stop_gradient(made[branch])]
            clips = random_clips(sequences, self.hparams.clip_length, seed)
            (true, _), (faked, _) = _judged(discriminator, clips)
            parts[branch] = adversarial_loss(kind, true, real=True) + adversarial_loss(
                kind, faked, real=False
            )
        return {"loss": sum(parts.values()), **parts}

    def _padded(self, frames: Any) -> Any:
        """Reflect the lower and right edges of [B, T, H, W, C], so that the grid can be halved; float32."""
        return reflect_edges(ops.cast(frames, "float32"), *self.padding)


class SAVPVAE(SAVP):
    """savp without discriminators; see the module's text."""

    Hparams = SAVPVAEHparams
    model_name = "savp_vae"

    def _weights_of_judgements(self) -> dict[str, tuple[float, float]]:
        return {}


class SAVPGAN(SAVP):
    """savp without posterior; see the module's text."""

    Hparams = SAVPGANHparams
    model_name = "savp_gan"
    has_posterior = False

    def _weights_of_judgements(self) -> dict[str, tuple[float, float]]:
        return {PRIOR: (self.hparams.video_sn_gan_weight, self.hparams.gan_feature_cdist_weight)}


def number_of_scales(height: int, width: int) -> int:
    """Return how often the grid is halved."""
    smaller = min(height, width)
    return 2 + sum(smaller >= limit for limit in (64, 128, 256))


def _padding(points: int, scales: int) -> int:
    """Return the points to add, so that at least two are left on the coarsest grid."""
    return max(-points % 2**scales, 2 * 2**scales - points)


def _judged(discriminator: VideoDiscriminator, clips: list[Any]) -> list[tuple[Any, list[Any]]]:
    """Judge several batches of clips in one call."""
    judgements, features = discriminator(ops.concatenate([ops.cast(one, "float32") for one in clips]))
    number = len(clips)
    split = [ops.split(each, number) for each in features]
    return list(zip(ops.split(judgements, number), zip(*split, strict=True), strict=True))
