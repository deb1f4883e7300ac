#!/usr/bin/env bash
#SBATCH --job-name=descent
#SBATCH --ntasks-per-node=1
#SBATCH --output=slurm-%j.log
# Performs the studies on the nodes that Slurm gives. Each needs this folder with its .venv under the same path, shared
# or a copy; only the first one's is written to. A job that ends too soon is submitted again, and goes on.
#
#     sbatch --nodes=3 --cpus-per-task=16 tools/slurm.sh
#     sbatch --nodes=3 --cpus-per-task=16 tools/slurm.sh dvc repro studies/dvc.yaml:study@weight-decay
set -euo pipefail

export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$(head --bytes=32 /dev/urandom | od --address-radix=n --format=x8 | tr --delete ' \n')
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head --lines=1)
read -r address _ < <(srun --nodes=1 --ntasks=1 --nodelist="$first" hostname --ip-address)
port=$((20000 + SLURM_JOB_ID % 10000))
export DESCENT_CLUSTER=$address:$port
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}  # a step has one core otherwise
export PATH=$PWD/.venv/bin:$PATH
ray=(ray start --num-cpus="$SRUN_CPUS_PER_TASK" --disable-usage-stats --block)

srun --nodes=1 --ntasks=1 --nodelist="$first" "${ray[@]}" --head --node-ip-address="$address" --port="$port" &
until (: < "/dev/tcp/$address/$port") 2> /dev/null; do sleep 1; done
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$first" "${ray[@]}" --address="$DESCENT_CLUSTER" &
fi
[ "$#" -gt 0 ] || set -- make studies
"$@"
