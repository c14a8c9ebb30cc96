#!/usr/bin/env bash
# The main job as a user does it, on made-up weather: environment, generator, and the five scripts that it writes.
# Started again it goes on where it stopped.
set -euo pipefail
repository="$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
base="$repository/demo_data"
scripts="$repository/nonHPC_scripts"
exp_id=20190401T000000_demo_synthetic  # as in answers.json

# shellcheck source=env_setup/create_env.sh
source "$repository/env_setup/create_env.sh" "${1:-ambs}"
python "$repository/video_prediction_tools/config_runscripts/generate_runscript.py" all --machine laptop \
  --answers "$repository/demo/answers.json" --base_dir "$base" --no-input

for script in data_extraction_era5 preprocess_data_era5_step1 preprocess_data_era5_step2 \
  "train_model_era5_$exp_id" "visualize_postprocess_era5_$exp_id"; do
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
