#!/usr/bin/env bash
# The main job as a user does it, on made-up data: environment, generator, and the scripts that it writes.
#   run_demo.sh [ENVIRONMENT [era5|moving_mnist]]
# With DIGITS_DIR set to the directory of the four MNIST files, Moving MNIST is made of those.
# Started again it goes on where it stopped.
set -euo pipefail
repository="$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
base="$repository/demo_data"
scripts="$repository/nonHPC_scripts"
dataset="${2:-era5}"
answers="$repository/demo/answers_$dataset.json"
changes=()
case "$dataset" in
  era5)
    preparing=(data_extraction_era5 preprocess_data_era5_step1 preprocess_data_era5_step2)
    exp_id=20190401T000000_demo_synthetic # as in the answers
    ;;
  moving_mnist)
    preparing=(preprocess_data_moving_mnist)
    exp_id=20190401T000000_demo_glyphs
    if [[ -n "${DIGITS_DIR:-}" ]]; then
      exp_id=20190401T000000_demo_mnist
      changes=(--digits_from mnist --digits_dir "$DIGITS_DIR" --exp_id "$exp_id")
    else
      echo "no DIGITS_DIR: the digits are glyphs that are drawn here; give that of the MNIST files to have theirs"
    fi
    ;;
  *)
    echo "ERROR: $dataset: no such demo; give era5 or moving_mnist" >&2
    exit 2
    ;;
esac

# shellcheck source=env_setup/create_env.sh
source "$repository/env_setup/create_env.sh" "${1:-ambs}"
python "$repository/video_prediction_tools/config_runscripts/generate_runscript.py" all --machine laptop \
  --answers "$answers" ${changes[@]+"${changes[@]}"} --base_dir "$base" --no-input

for script in "${preparing[@]}" "train_model_${dataset}_$exp_id" "visualize_postprocess_${dataset}_$exp_id"; do
  echo
  echo "== bash nonHPC_scripts/$script.sh"
  bash "$scripts/$script.sh"
done

results="$(dirname "$(find "$base/Results" -path "*/$exp_id/report.html" -print -quit)")"
echo
echo "done in $SECONDS s"
echo "report: $results/report.html"
echo "plots:  $results/plots/"
echo "scores: $results/evaluation_metrics.csv"
