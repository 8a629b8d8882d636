#!/bin/bash
# A real SLURM on this machine, one node, and 40 videos through it. By hand, as root, on Debian or in a container:
#
#     bash tests/slurm.sh /path/to/python
#
# Installs slurm-wlm, submits 40 drawn videos, cancels half of the tasks, submits what is missing again, and compares the
# results with those of one after the other. Takes some minutes; ends the daemons that it has started.
set -euo pipefail
python=${1:-python3}
cd "$(dirname "$0")/.."
export PYTHONPATH=$PWD

command -v sbatch slurmctld slurmd munged > /dev/null ||
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends slurm-wlm munge
place=$(mktemp -d)
chmod 755 "$place"
host=$(hostname -s)
mkdir -p /run/munge /var/log/munge /etc/munge "$place/state" "$place/spool"
chown -R munge: /run/munge /var/log/munge /etc/munge
[ -s /etc/munge/munge.key ] || mungekey
chown munge: /etc/munge/munge.key
cat > "$place/slurm.conf" << CONF
ClusterName=mapose
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$place/slurm.conf
pgrep -x munged > /dev/null || runuser -u munge -- munged
slurmctld -D > "$place/ctld.out" 2>&1 &
controller=$!
slurmd -D > "$place/d.out" 2>&1 &
node=$!
trap 'kill $controller $node; rm -rf "$place"' EXIT  # munged stays: others may use it
for _ in $(seq 30); do sinfo -h 2> /dev/null | grep -q idle && break; sleep 1; done
sinfo

mapose() { "$python" -m mapose "$@"; }
count() { find "$place/out" -name '*.mapose.h5' 2> /dev/null | wc -l; }
"$python" -m tests.benchmarks.kill_workers --draw "$place/drawn" --videos 40
cd "$place"
rm drawn/videos/broken.mp4
mapose analyze drawn/model drawn/videos -o one > /dev/null 2>&1
mapose submit drawn/model drawn/videos -o out --slurm --sbatch cpus-per-task=1 --sbatch mem=900
job=$(squeue -h -o %A | head -1)
while [ "$(count)" -lt 4 ]; do sleep 1; done
scancel "${job}_[20-39]"  # half of the tasks, and one that runs
scancel "$(squeue -h -t RUNNING -o %i | head -1)"
while [ -n "$(squeue -h)" ]; do sleep 1; done
mapose jobs
mapose jobs --resubmit
while [ -n "$(squeue -h)" ]; do sleep 1; done
mapose jobs
cd - > /dev/null
"$python" -m tests.benchmarks.kill_workers --compare "$place/one" "$place/out"
