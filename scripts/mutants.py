"""Plant defects and see that a test kills each: python scripts/mutants.py [words of its name]   (about 20 minutes)

Every mutant is one edit in a copy of the repository; the last line says how many were killed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
CORE = ("test_flow.py", "test_noise.py", "test_ledger.py", "test_conformance.py", "test_search.py", "test_oracles.py")
AGAIN = (
    "test_api.py::test_every_address_makes_its_image_again",
    "test_conformance.py::test_a_result_is_made_again_from_its_lineage",
)


class Mutant(NamedTuple):
    """name; the file inside noise_search/; what is replaced there, by what; the tests that are to find it."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = CORE


MUTANTS = (
    Mutant(
        "a batch that keeps its own shape",
        "core/denoiser.py",
        "out = self.told(padded(x, size), padded(t, size), padded(which, size))",
        "out = self.told(x, t, which)",
        ("test_compiled.py",),
    ),
    Mutant(
        "as many conditions as a batch happens to have",
        "core/denoiser.py",
        "used = padded(used, min(len(x), self.conditions))",
        "pass",
        ("test_compiled.py",),
    ),
    Mutant(
        "an output that the next replay writes over",
        "core/denoiser.py",
        "Prediction(out.x0[:n].clone(), out.eps[:n].clone())",
        "Prediction(out.x0[:n], out.eps[:n])",
        ("test_compiled.py",),
    ),
    Mutant(
        "padding that nobody counts",
        "core/denoiser.py",
        "self.padding += size - n",
        "pass",
        ("test_compiled.py",),
    ),
    Mutant(
        "every worker's own batch size",
        "run/execute.py",
        'write_first(folder / "identity.json", text)',
        'write_text(folder / "identity.json", text) or text',
        ("test_compiled.py",),
    ),
    Mutant(
        "a checkpoint that forgets the bill",
        "run/checkpoint.py",
        "            meter.copy_(count)",
        "            pass",
        ("test_checkpoint.py",),
    ),
    Mutant(
        "winners that a checkpoint forgets",
        "run/checkpoint.py",
        'saved["searched"], readouts, saved["finals"]',
        'saved["searched"], readouts, {}',
        ("test_checkpoint.py",),
    ),
    Mutant(
        "a loaded model that is not what its settings say",
        "core/model.py",
        "if said != found:",
        "if said != found and name == 'name':",
        ("test_contracts.py",),
    ),
    Mutant(
        "classes that nobody has named are anybody's",
        "front/order.py",
        "if verifier.class_set is None or verifier.class_set != model.class_set:",
        "if False:",
        ("test_api.py",),
    ),
    Mutant(
        "a bug of a verifier that is told as a refusal",
        "run/assemble.py",
        "        error.add_note(what)\n        raise\n",
        "        raise Refused(what) from error\n",
        ("test_contracts.py",),
    ),
    Mutant(
        "rows are told apart on the device",
        "core/denoiser.py",
        "used, rows = self.owner[which].unique(return_inverse=True)",
        "used, rows = self.owner[which].to(x.device).unique(return_inverse=True)",
        ("test_device.py",),
    ),
    Mutant(
        "a bill that waits for the device",
        "core/problem.py",
        "self.bill(who, views.shape[2])",
        "self.bill(who.to(x.device).cpu(), views.shape[2])",
        ("test_device.py",),
    ),
    Mutant(
        "Heun's second stage reuses the first",
        "core/flow.py",
        "x0, eps = self.predict(x + step, grid.times[i + 1], who)",
        "x0, eps = self.predict(x, grid.times[i], who)",
    ),
    Mutant(
        "billing per call, not per row",
        "core/denoiser.py",
        "self.count += torch.bincount(who, minlength=len(self.count))",
        "self.count += 1",
    ),
    Mutant(
        "an unmetered guidance pass",
        "core/denoiser.py",
        "out = self.network(torch.cat([x, x]), torch.cat([t, t]), which, torch.cat([who, who]))",
        "own, other = self.network(x, t, who, who), self.network.conditioned(x, t, which[len(x) :])\n"
        "        out = Prediction(torch.cat([own.x0, other.x0]), torch.cat([own.eps, other.eps]))",
    ),
    Mutant(
        "a forgotten extra prediction in the cost of paths",
        "algorithms/paths.py",
        "point * (self.backward_nfe + 1)",
        "point * self.backward_nfe",
    ),
    Mutant(
        "re-noising always from the first level",
        "algorithms/paths.py",
        "flow.renoise(x, self.levels[round - 1], leg",
        "flow.renoise(x, self.levels[0], leg",
    ),
    Mutant(
        "a last leg from the wrong level",
        "algorithms/paths.py",
        "problem.grid(self.last_nfe, self.levels[-1], 0.0)",
        "problem.grid(self.last_nfe, self.levels[0], 0.0)",
    ),
    Mutant(
        "a first leg that ends elsewhere",
        "algorithms/paths.py",
        "problem.grid(self.start_nfe(problem.final_nfe), 1.0, self.start)",
        "problem.grid(self.start_nfe(problem.final_nfe), 1.0, 0.3)",
    ),
    Mutant(
        "a scored prediction at the noisy end of its leg",
        "algorithms/paths.py",
        "problem.predict(x, self.levels[state.round])",
        "problem.predict(x, self.levels[state.round] + self.back)",
    ),
    Mutant(
        "views that stay with the dropped paths",
        "algorithms/paths.py",
        "take(views, kept), lineage",
        "views[:, : self.paths], lineage",
    ),
    Mutant(
        "survivors with the scores of their predictions",
        "algorithms/paths.py",
        "x=x, score=problem.score(x, state.views))",
        "x=x)",
    ),
    Mutant(
        "the same re-noising in every round",
        "algorithms/paths.py",
        'problem.noises(before.shape[1], state.round, "renoise")',
        'problem.noises(before.shape[1], 0, "renoise")',
    ),
    Mutant(
        "a reward that is not what its makers normalise",
        "networks/imagereward.py",
        "(bias - CENTRE) / SCALE",
        "bias / SCALE",
        ("test_imagereward.py",),
    ),
    Mutant(
        "a text that looks at its own padding",
        "networks/blip.py",
        "seen = None if mask is None else mask[:, None, None]",
        "seen = None",
        ("test_imagereward.py",),
    ),
    Mutant(
        "layers of a reward head that are counted only once",
        "networks/reward_head.py",
        "layer @ bias + state",
        "state",
        ("test_imagereward.py",),
    ),
    Mutant(
        "an answer that cannot be read is a zero",
        "verifiers/vlm_ask.py",
        "                why = str(error)\n",
        '                return {key: 0.0 for key in ("overall", "quality", "yes", "better")}\n',
        ("test_vlm_endpoint.py",),
    ),
    Mutant(
        "answers that forget which image they are about",
        "verifiers/vlm_ask.py",
        "question(self.ask, text), *images)",
        "question(self.ask, text))",
        ("test_vlm_endpoint.py",),
    ),
    Mutant(
        "pairs that meet in one order only",
        "verifiers/vlm_pairs.py",
        "for order in ((a, b), (b, a))",
        "for order in ((a, b),)",
        ("test_vlm_endpoint.py",),
    ),
    Mutant(
        "a key that follows a redirection",
        "verifiers/remote.py",
        "build_opener(NotElsewhere)",
        "build_opener()",
        ("test_vlm_endpoint.py",),
    ),
    Mutant(
        "a scorer that has become another one",
        "verifiers/http.py",
        "(now := identity(said, where)) != self.who",
        "(now := identity(said, where)) is None",
        ("test_http_verifier.py::test_a_wrong_answer_is_one_clear_line_and_not_asked_again",),
    ),
    Mutant(
        "time-outs without end",
        "verifiers/remote.py",
        "self.late > self.timeouts",
        "self.late < 0",
        ("test_http_verifier.py::test_time_outs_are_told_counted_and_limited",),
    ),
    Mutant(
        "a picture that is not finite has a score",
        "verifiers/http.py",
        "fine = images.isfinite().flatten(1).all(1).cpu().numpy()",
        "fine = np.ones(b * k, bool)",
        ("test_http_verifier.py::test_images_that_are_not_finite_are_not_sent_and_have_no_score",),
    ),
    Mutant(
        "pairs that are nearer than their margin",
        "storage/preferences.py",
        "(behind > 0) & (behind >= rule.margin)",
        "(behind > 0)",
        ("test_neighbours.py::test_losers_are_the_worst_or_drawn_by_a_seed",),
    ),
    Mutant(
        "an equal candidate that loses",
        "storage/preferences.py",
        "(behind > 0) & (behind >= rule.margin)",
        "behind >= rule.margin",
        ("test_neighbours.py::test_losers_are_the_worst_or_drawn_by_a_seed",),
    ),
    Mutant(
        "the squashed image of SigLIP is cropped",
        "networks/vision.py",
        'resize = None if config.get("resize_mode") == "squash" else size',
        "resize = size",
        ("test_siglip.py",),
    ),
    Mutant(
        "a class without a name that is read as a text",
        "front/order.py",
        'elif "texts" in one.reads and not isinstance(one, Own):',
        "elif False:",
        ("test_vlm_endpoint.py",),
    ),
    Mutant(
        "weights of an ensemble that are ignored",
        "verifiers/ensemble.py",
        "share * ranks",
        "ranks",
        ("test_search.py",),
    ),
    Mutant(
        "a mean of scores in different units",
        "verifiers/ensemble_mean.py",
        "scaled = scores / scores.new_tensor(self.scales)",
        "scaled = scores",
        ("test_against_hacking.py",),
    ),
    Mutant(
        "a search that climbs what is held out",
        "algorithms/first_order.py",
        "problem.verifier.climb(scores)",
        "problem.combine(scores)",
        ("test_against_hacking.py",),
    ),
    Mutant(
        "an image that goes on where it was good enough",
        "verifiers/held_out.py",
        "held_out.clamp_max(self.enough)",
        "held_out",
        ("test_against_hacking.py",),
    ),
    Mutant(
        "an image that is far from its own first candidate",
        "verifiers/group.py",
        "(self.sets.sums[point][condition] - seen[0]) / others",
        "self.sets.sums[point][condition] / self.sets.counts[condition]",
        ("test_against_hacking.py",),
    ),
    Mutant(
        "a group that forgets what it chose",
        "verifiers/group.py",
        "return memory._replace(sums=sums)",
        "return memory",
        ("test_against_hacking.py",),
    ),
    Mutant(
        "noise that is not keyed by its purpose",
        "core/noise.py",
        "key = np.array([seed, tag_number(tag)], dtype=np.uint64)",
        "key = np.array([seed, 0], dtype=np.uint64)",
    ),
    Mutant(
        "noise that is not keyed by image",
        "core/noise.py",
        "counter = np.array([0, image, candidate, round], dtype=np.uint64)",
        "counter = np.array([0, 0, candidate, round], dtype=np.uint64)",
    ),
    Mutant(
        "neighbours that are the same in every round",
        "algorithms/zero_order.py",
        'problem.noises(self.neighbours, round, "neighbour")',
        'problem.noises(self.neighbours, 0, "neighbour")',
    ),
    Mutant(
        "moves that are made again one round late",
        "algorithms/zero_order.py",
        "self.around(problem, x, round)",
        "self.around(problem, x, round + 1)",
        AGAIN,
    ),
    Mutant(
        "a chain that goes on from the pivot before a fresh one",
        "algorithms/zero_order.py",
        "lineage = lineage.masked_fill(stalled[:, None], -1)",
        "pass",
        AGAIN,
    ),
    Mutant(
        "re-noisings that are made again from the round before",
        "algorithms/paths.py",
        'problem.noise(draw, round, "renoise")',
        'problem.noise(draw, round - 1, "renoise")',
        AGAIN,
    ),
    Mutant(
        "paths with the past of their neighbours",
        "algorithms/paths.py",
        "take(state.lineage.repeat_interleave(state.width, 1), kept)",
        "state.lineage",
        AGAIN,
    ),
    Mutant(
        "a pivot that can get worse",
        "algorithms/zero_order.py",
        'order[:, 1:].argmax(1) + 1 if self.pivot == "latest" else order.argmax(1)',
        "order[:, 1:].argmax(1) + 1",
    ),
    Mutant(
        "a view from the wrong time",
        "core/flow.py",
        "knots = [grid.nearest(level) for level in levels]",
        "knots = [max(0, grid.nearest(level) - 1) for level in levels]",
    ),
    Mutant(
        "a re-noising that forgets the noise that is there",
        "core/flow.py",
        "(s_s**2 - (ratio * s_t) ** 2) ** 0.5 * eps",
        "s_s * eps",
    ),
    Mutant(
        "seconds of a point that hold the readouts of the points before",
        "core/driver.py",
        "own += problem.watch.spans[seen:]",
        "own[:] = problem.watch.spans",
        ("test_seconds.py",),
    ),
    Mutant(
        "a stopwatch that waits for the device",
        "core/stopwatch.py",
        "self.spans.append(Span(stage, start, self.now()))",
        "self.spans.append(Span(stage, start, self.now()))\n            self.spans[-1].seconds()",
        ("test_device.py",),
    ),
    Mutant(
        "seconds of two devices in one number",
        "run/evaluate.py",
        "known = len(rows.devices) == 1 and",
        "known = bool(rows.devices) and",
        ("test_seconds.py",),
    ),
    Mutant(
        "minutes that buy other points for every worker",
        "run/execute.py",
        'parts = replace(parts, run=settled(parts.run, begun["points"]))',
        "pass",
        ("test_seconds.py",),
    ),
    Mutant(
        "a commit group tied to the batch",
        "run/population.py",
        "for start in range(0, images, verifier.group):\n"
        "        ids = list(range(start, min(images, start + verifier.group)))",
        "for start in range(0, images, parts.batch_size):\n"
        "        ids = list(range(start, min(images, start + parts.batch_size)))",
        ("test_run.py::test_oracle_fid_lowers_its_distance_and_goes_on_where_it_was",),
    ),
    Mutant(
        "a set that is never renewed",
        "verifiers/oracle_fid.py",
        "return {p: s - Statistics.of(old, origin) + Statistics.of(chosen[p], origin) for p, s in memory.items()}",
        "return memory",
    ),
    Mutant(
        "ranks over the images instead of the candidates",
        "verifiers/ensemble.py",
        "ranks(scores[..., v])",
        "ranks(scores[..., v].T).T",
    ),
    Mutant(
        "ranks against the old score of a fresh pivot",
        "algorithms/zero_order.py",
        "score.masked_fill(stalled[:, None], torch.nan)",
        "score",
    ),
    Mutant(
        "a bank that is read in the wrong order",
        "run/reselect.py",
        "[:, :, order]",
        "",
        ("test_run.py::test_select_gives_what_a_run_of_its_own_gives",),
    ),
    Mutant(
        "ties that go to the later candidate",
        "algorithms/random.py",
        "problem.combine(state.scores[:, :point], point).argmax(1)",
        "(point - 1 - problem.combine(state.scores[:, :point], point).flip(1).argmax(1))",
    ),
    Mutant(
        "an ensemble that keeps its best alone",
        "core/algorithm.py",
        "return 1 if verifier.ranks_alone else point",
        "return 1",
        ("test_random.py",),
    ),
    Mutant(
        "PickScore on OpenAI's tokens",
        "networks/clip_text.py",
        "self.tokenizer.clean_fn = as_transformers",
        "pass",
        ("test_text_verifiers.py::test_pickscore_is_what_transformers_says",),
    ),
    Mutant(
        "texts that are cut silently",
        "networks/clip_text.py",
        "        self.tell_of_cut(new)\n",
        "",
        ("test_text_verifiers.py::test_texts_that_are_too_long_are_counted_and_told",),
    ),
    Mutant(
        "HPS of the centre alone",
        "verifiers/hpsv2.py",
        "pad = True",
        "pad = False",
        ("test_text_verifiers.py::test_hps_is_the_cosine_itself",),
    ),
    Mutant(
        "a negative cosine that counts",
        "verifiers/clipscore.py",
        "cosine.clamp_min(0)",
        "cosine",
        ("test_text_verifiers.py::test_clipscore_is_the_published_formula",),
    ),
    Mutant(
        "any head for the published one",
        "verifiers/aesthetic.py",
        "if self.head is None and (digest",
        "if False and (digest",
        ("test_text_verifiers.py::test_a_head_of_another_form_is_refused",),
    ),
    Mutant(
        "prompts whose ends are cut without a word",
        "models/diffusers/wrap.py",
        "        tell_of_long(self.family, distinct)\n",
        "",
        ("test_from_diffusers.py::test_prompts_are_encoded_once_and_long_ones_are_counted_by_name",),
    ),
    Mutant(
        "a prompt that is encoded for each of its images",
        "models/diffusers/wrap.py",
        "distinct = list(dict.fromkeys(texts))",
        "distinct = list(texts)",
        ("test_from_diffusers.py::test_prompts_are_encoded_once_and_long_ones_are_counted_by_name",),
    ),
    Mutant(
        "a shift of one size for all sizes",
        "models/diffusers/flux.py",
        "self.shift_by_size(len(self.places), 1.15)",
        "self.shift_by_size(4096, 1.15)",
        ("test_from_diffusers.py::test_other_heights_and_widths",),
    ),
    Mutant(
        "a negative prompt that is left out",
        "models/diffusers/wrap.py",
        "family.encode_null(negative_prompt)",
        "family.encode_null(None)",
        ("test_from_diffusers.py::test_negative_prompts",),
    ),
    Mutant(
        "a step that asks the network about the clean end",
        "core/schedule.py",
        "steps = table_stages(nfe, solver) if end == 0 else stages(nfe, solver)\n        n =",
        "steps = stages(nfe, solver)\n        n =",
        ("test_flow.py::test_listed_knots_are_taken_whole_and_parts_of_the_way_lie_along_them",),
    ),
    Mutant(
        "a pipeline that lacks a file of its weights",
        "models/diffusers/folder.py",
        "if not (part / name).is_file()",
        "if False",
        ("test_pretrained.py::test_what_is_missing_is_one_line_that_says_what_to_do",),
    ),
    Mutant(
        "a tokenizer without its vocabulary",
        "models/diffusers/folder.py",
        "return None if any(files <= there for files in sets) else",
        "return None if sets else",
        ("test_pretrained.py::test_what_is_damaged_or_half_there_is_one_line",),
    ),
    Mutant(
        "times that are not the pipeline's own",
        "models/diffusers/loading.py",
        "abs(t - s) < NEAR",
        "abs(t - s) < 1",
        ("test_pretrained.py::test_times_that_are_not_the_pipelines_own_are_refused_or_told",),
    ),
    Mutant(
        "as many large images decoded at once as small ones",
        "models/diffusers/wrap.py",
        "isqrt(family.height * family.width)",
        "isqrt(family.shape[1] * family.shape[2]) * 8",
        ("test_from_diffusers.py::test_how_many_latents_are_decoded_at_once_follows_the_size_of_the_images",),
    ),
    Mutant(
        "a token of SANA's instruction that is taken for the text's",
        "models/diffusers/sana.py",
        "LONGEST - 1)}",
        "LONGEST)}",
        ("test_diffusers_families.py::test_the_end_of_a_text_that_sana_does_not_read_is_told",),
    ),
    Mutant(
        "prompts that have changed since they were fetched",
        "storage/prompt_file.py",
        "    refuse_changed(path)\n",
        "",
        ("test_prompts.py::test_a_file_that_was_fetched_must_not_change",),
    ),
    Mutant(
        "SDXL's empty prompt, where the pipeline has zeros",
        "models/diffusers/sdxl.py",
        "if negative_prompt is None and",
        "if False and",
        ("test_diffusers_families.py::test_sdxl_has_an_empty_condition_of_zeros_or_a_negative_prompt",),
    ),
    Mutant(
        "height and width that SDXL is told in the other order",
        "models/diffusers/sdxl.py",
        "(self.height, self.width), pipe",
        "(self.width, self.height), pipe",
        ("test_diffusers_families.py::test_sdxl_is_its_own_pipeline",),
    ),
    Mutant(
        "a first noise that is not scaled as Euler's scheduler does",
        "models/diffusers/ddpm.py",
        "(t >= 1) & self.scaled",
        "(t >= 1) & False",
        ("test_diffusers_families.py::test_sdxl_with_other_settings_of_euler",),
    ),
    Mutant(
        "a table that ends clean, where its scheduler does not",
        "models/diffusers/ddpm.py",
        "clean=euler or config.set_alpha_to_one",
        "clean=True",
        ("test_diffusers_families.py::test_sdxl_with_ddim_that_ends_at_the_first_noise_level",),
    ),
    Mutant(
        "SANA's times, shifted twice",
        "models/diffusers/sana.py",
        "more = {} if own else",
        "more = {} if True else",
        ("test_diffusers_families.py::test_euler_stands_in_for_the_scheduler_of_sana",),
    ),
    Mutant(
        "an instruction before SANA's negative prompt",
        "models/diffusers/sana.py",
        'self.states([negative_prompt or ""], None)',
        'self.encode([negative_prompt or ""])',
        ("test_diffusers_families.py::test_euler_stands_in_for_the_scheduler_of_sana",),
    ),
    Mutant(
        "a stand-in that the plan did not tell of",
        "models/diffusers/loading.py",
        "if stand_in != settings.stand_in:",
        "if False:",
        ("test_pretrained.py::test_a_plan_says_whose_steps_are_taken_in_place_of_a_multistep_schedulers",),
    ),
    Mutant(
        "a file that was cut short",
        "storage/fetched.py",
        "if length is not None and got != int(length):",
        "if False:",
        ("test_prefetch.py",),
    ),
    Mutant(
        "images of a prompt that do not follow one another",
        "storage/t2i_compbench.py",
        "key=lambda pair: (pair[1], pair[0])",
        "key=lambda pair: pair[0]",
        ("test_prompts.py::test_a_question_is_numbered_within_its_category_and_its_name_can_be_written",),
    ),
    Mutant(
        "blocks that were left out and are billed",
        "drafts/cache.py",
        "each * reuse.left_out.cpu()",
        "0 * reuse.left_out.cpu()",
        ("test_drafts.py",),
    ),
    Mutant(
        "a draft that is taken for the finished image",
        "algorithms/random.py",
        "return False",
        "return c == final",
        ("test_drafts.py::test_a_draft_of_as_many_evaluations_as_the_final_generation_is_not_the_image",),
    ),
    Mutant(
        "a pipeline whose blocks stay ours",
        "models/diffusers/cached.py",
        "del block.forward",
        "pass",
        ("test_pipeline_drafts.py::test_an_error_inside_leaves_the_pipeline_as_it_was",),
    ),
    Mutant(
        "a forecast that does not look at the time",
        "networks/block_cache.py",
        "(time - other) / (at - other)",
        "(at - other) / (at - other)",
        ("test_drafts.py::test_forecasts_are_exact_for_polynomials",),
    ),
    Mutant(
        "a reused null branch on the wrong side of the noise",
        "drafts/guidance_reuse.py",
        "eps + a * self.apart",
        "eps - a * self.apart",
        ("test_drafts.py::test_a_reused_null_branch_keeps_the_pair",),
    ),
    Mutant(
        "a capture that picks by the full score",
        "measures/capture.py",
        "np.take_along_axis(f, d.argmax(2)",
        "np.take_along_axis(f, f.argmax(2)",
        ("test_capture.py::test_the_share_of_the_gain_by_hand",),
    ),
    Mutant(
        "weights that forget what came before the last stage",
        "algorithms/smc.py",
        "weight=state.weight + product - state.product",
        "weight=product - state.product",
        ("test_smc.py",),
    ),
    Mutant(
        "a draw that looks at the first particles only",
        "algorithms/smc.py",
        'chosen = looked_up(state.weight.softmax(1), problem.uniform(1, state.round, "resample"))[:, 0]',
        'chosen = systematic(state.weight.softmax(1), problem.uniform(1, state.round, "resample"))[:, 0]',
        ("test_smc.py",),
    ),
    Mutant(
        "branches that all get the same noise",
        "core/descent.py",
        'problem.noises(x.shape[1], first + i, "jump")',
        'problem.noises(1, first + i, "jump").expand(x.shape)',
        ("test_smc.py", "test_conformance.py"),
    ),
    Mutant(
        "elites that are the first, not the best",
        "algorithms/evolution.py",
        "[take(state.x, elites), torch.cat(",
        "[state.x[:, : self.elites], torch.cat(",
        ("test_evolution.py",),
    ),
    Mutant(
        "children on the way that start at the noise of their parent",
        "algorithms/evolution.py",
        "self.mutated(problem, before[:, :, stop], state.round)",
        "self.mutated(problem, before[:, :, 0], state.round)",
        ("test_evolution.py",),
    ),
    Mutant(
        "a way from a later time that is billed as a whole one",
        "algorithms/evolution.py",
        "born = sum(left[self.stop(round)]",
        "born = sum(left[0] + 0 * self.stop(round)",
        ("test_evolution.py",),
    ),
    Mutant(
        "a mutation on the way that forgets the length of the step",
        "core/breeding.py",
        "problem.flow.fresh(min(1.0, t + self.sde_step), t) * draws",
        "self.mutation * draws",
        ("test_evolution.py",),
    ),
    Mutant(
        "states that are remade at another stop than they were born at",
        "core/breeding.py",
        "at, stop := self.stop(round))[:, 0, -1], stop",
        "at, stop := at)[:, 0, -1], stop",
        AGAIN,
    ),
    Mutant(
        "drafts of states that are no noises",
        "core/draft.py",
        "isinstance(algorithm, Draftable) and algorithm.scores_noises",
        "isinstance(algorithm, Draftable)",
        ("test_evolution.py",),
    ),
    Mutant(
        "a tournament that the worst win",
        "core/breeding.py",
        'masked_fill(places >= size, -float("inf")).argmax(2)',
        'masked_fill(places >= size, float("inf")).argmin(2)',
        ("test_evolution.py",),
    ),
    Mutant(
        "neighbours of a pivot that are never tried",
        "algorithms/epsilon_greedy.py",
        "numbers[:, 1] < self.epsilon",
        "numbers[:, 1] < 1.0",
        ("test_trajectories.py",),
    ),
    Mutant(
        "a step's noise that a later round may make worse",
        "algorithms/epsilon_greedy.py",
        "better = problem.prefers(new[2], best.score)",
        "better = problem.prefers(new[2], best.score) | True",
        ("test_trajectories.py",),
    ),
    Mutant(
        "a regulariser with the wrong sign",
        "algorithms/dno.py",
        "return self.regularisation * likely",
        "return -self.regularisation * likely",
        ("test_dno.py",),
    ),
    Mutant(
        "a regulariser that does not look at what numbers have to do with each other",
        "algorithms/dno.py",
        "covariance = vectors.transpose(2, 3) @ vectors / m",
        "covariance = torch.diag_embed(vectors.square().mean(2))",
        ("test_dno.py",),
    ),
    Mutant(
        "a radius that never shrinks",
        "algorithms/trust_region.py",
        "radius.where(~shrunk, radius / 2)",
        "radius",
        ("test_trust_region.py",),
    ),
    Mutant(
        "a region that begins anew where it was",
        "algorithms/trust_region.py",
        "radius=radius.masked_fill(lost, 1.0)",
        "radius=radius.masked_fill(lost, self.radius)",
        ("test_trust_region.py",),
    ),
    Mutant(
        "a quota whose rest is lost",
        "algorithms/rbf.py",
        "quota, last = state.left + state.quota,",
        "quota, last = 0 * state.left + state.quota,",
        ("test_rbf.py",),
    ),
    Mutant(
        "rows of some images that are billed to the first",
        "core/problem.py",
        "(torch.arange(len(self.ids)) if images is None else images)",
        "(torch.arange(len(self.ids)) if images is None else torch.arange(len(images)))",
        ("test_rbf.py",),
    ),
    Mutant(
        "a bound for everybody",
        "core/algorithm.py",
        "metered <= planned if isinstance(algorithm, Bounded) else metered == planned",
        "metered <= planned",
        ("test_threshold.py",),
    ),
    Mutant(
        "steps that forget what was predicted before",
        "core/flow.py",
        "        if before is not None:\n            (a,)",
        "        if False:\n            (a,)",
        ("test_flow.py",),
    ),
    Mutant(
        "a race whose last step of a round is forgotten in the next",
        "algorithms/racing.py",
        "if state.x0 is not None and state.eps is not None:",
        "if state.x0 is not None and state.eps is not None and done < 0:",
        ("test_racing.py",),
    ),
    Mutant(
        "a start that is not shared, but billed as if it were",
        "algorithms/racing.py",
        "problem.predict(x[:, :1], t).x0",
        "problem.predict(x, t).x0",
        ("test_racing.py",),
    ),
    Mutant(
        "ties that count who went on",
        "algorithms/racing.py",
        "(ordered[:, cut:] == ordered[:, cut - 1 : cut])",
        "(ordered == ordered[:, cut - 1 : cut])",
        ("test_racing.py",),
    ),
    Mutant(
        "an image that goes on when it is good enough",
        "algorithms/threshold.py",
        "< self.enough",
        "< 1e9",
        ("test_threshold.py",),
    ),
    Mutant(
        "a gradient that is not billed",
        "core/denoiser.py",
        "        if differentiated(x):\n            self.backward.add(who)\n        if self.guidance",
        "        if self.guidance",
    ),
)


def failing(mutant: Mutant | None, tests: tuple[str, ...]) -> str | None:
    """The first test that fails on a copy with the mutant planted; None if all pass."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for part in ("noise_search", "tests", "configs", "scripts", "docs/results"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        for path in ROOT.glob("*.*"):
            if path.is_file():
                shutil.copy(path, copy)
        if mutant is not None:
            path = copy / "noise_search" / mutant.file
            path.write_text(path.read_text().replace(mutant.old, mutant.new))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        command += [f"tests/{test}" for test in tests]
        environment = {**os.environ, "PYTHONPATH": str(copy)}  # programs that the tests start see the copy too
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        if done.returncode not in (0, 1) or (done.returncode == 1 and not found):
            raise SystemExit(f"the tests did not run: {done.stdout[-500:]}{done.stderr[-500:]}")
        return found.group(1) if found else None


def places(mutant: Mutant) -> int:
    """How often its file holds what it replaces; once, or it says nothing."""
    return (ROOT / "noise_search" / mutant.file).read_text().count(mutant.old)


def main() -> None:
    chosen = [mutant for mutant in MUTANTS if all(word in mutant.name for word in sys.argv[1:])]
    if not chosen:
        raise SystemExit(f"no mutant's name holds {' and '.join(sys.argv[1:])}")
    tests = tuple(dict.fromkeys(test for mutant in chosen for test in mutant.tests))
    if broken := failing(None, tests):
        raise SystemExit(f"without any defect {broken} fails: nothing can be learnt")
    killed = 0
    for mutant in chosen:
        test = failing(mutant, mutant.tests)
        killed += test is not None
        print(f"{mutant.name}: {'killed by ' + test if test else 'SURVIVED'}", flush=True)
    print(f"{killed} of {len(chosen)} killed")
    raise SystemExit(killed < len(chosen))


if __name__ == "__main__":
    main()
