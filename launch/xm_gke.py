"""An xmanager executor for TPU slices on GKE.

xmanager 0.8.5's own executor for Kubernetes asks for no TPU chip (it writes an annotation
of the former TPU nodes), so this one writes the manifest: an indexed job with a pod for
each host of the slice, behind a headless service, with the bucket mounted below /gcs.
What GKE wants: cloud.google.com/kubernetes-engine/docs/how-to/tpus.
"""

import hashlib
import math
import re

import attr
import yaml
from kubernetes import client as k8s
from tpu_slice import Refused
from xmanager import xm, xm_local
from xmanager.cloud import kubernetes as xm_kubernetes
from xmanager.xm import utils
from xmanager.xm_local import registry

SERVICE = "simex"
WORKDIR = "simex-workdir"  # a label
BUCKET = r"(?<![\w.-])/gcs/([a-z0-9._-]+)"  # anywhere in a word
NVIDIA_DRIVER = "/usr/local/nvidia/lib64"  # where GKE mounts it, off the loader's path
EXIT_REFUSED = 2  # of `simex`: it would be refused again
NUM_RETRIES = 20  # of a pod, whose node was preempted
# The type as people say it -> GKE's name, chips of a host of a larger slice.
TPUS = {
    "v4": ("tpu-v4-podslice", 4),
    "v5e": ("tpu-v5-lite-podslice", 4),
    "v5p": ("tpu-v5p-slice", 4),
    "v6e": ("tpu-v6e-slice", 4),
    "v7x": ("tpu7x", 4),
}
CUBES = ("v4", "v5p", "v7x")  # whose slices have three dimensions
# --gpu -> GKE's name of it
GPUS = {
    "t4": "nvidia-tesla-t4",
    "v100": "nvidia-tesla-v100",
    "l4": "nvidia-l4",
    "a100": "nvidia-tesla-a100",
    "a100-80gb": "nvidia-a100-80gb",
    "h100": "nvidia-h100-80gb",
    "h200": "nvidia-h200-141gb",
    "b200": "nvidia-b200",
}
SINGLE_HOST_CHIPS = {"v5e": (1, 4, 8), "v6e": (1, 4, 8)}  # these lie on one host


@attr.s(auto_attribs=True)
class Gke(xm_local.Kubernetes):
    """Runs a job on every host of a slice, or on one node with GPUs or CPUs."""

    accelerator: str = ""  # GKE's name of the TPU or GPU; empty: CPUs
    topology: str = ""  # of TPUs, "4x4"
    chips: int = 0  # or GPUs, of each host
    num_hosts: int = 1
    is_spot: bool = False
    service_account: str = "default"

    def __attrs_post_init__(self):
        registry.register(Gke, launch=_launch, create_handle=None)


def make_executor(options):
    """The executor for the words --tpu or --gpu; neither is a node with CPUs."""
    common = {"is_spot": options.spot, "service_account": options.service_account}
    if options.gpu:
        kind, _, count = options.gpu.partition(":")
        if not count.isdigit():
            raise Refused(f"--gpu must be TYPE:COUNT, e.g. h100:8; got {options.gpu}.")
        if kind not in GPUS:
            raise Refused(f"--gpu must be of a type of {', '.join(GPUS)}; got {kind}.")
        return Gke(accelerator=GPUS[kind], chips=int(count), **common)
    if not options.tpu:
        return Gke(**common)
    kind, _, topology = options.tpu.partition(":")
    if kind not in TPUS or not re.fullmatch(r"\d+x\d+(x\d+)?", topology):
        raise Refused(
            f"--tpu must be TYPE:TOPOLOGY with a type of {', '.join(TPUS)}, e.g. "
            f"v5e:4x4 or v5p:2x2x2; got {options.tpu}."
        )
    if (kind in CUBES) != (topology.count("x") == 2):
        raise Refused(
            f"A slice of {kind} has {'three' if kind in CUBES else 'two'} dimensions, "
            f"e.g. {'2x2x2' if kind in CUBES else '4x4'}; got {options.tpu}."
        )
    accelerator, host_chips = TPUS[kind]
    num_chips = math.prod(map(int, topology.split("x")))
    if num_chips in SINGLE_HOST_CHIPS.get(kind, ()):
        host_chips = num_chips
    if num_chips % host_chips:
        raise Refused(f"{options.tpu} has {num_chips} chips; a host has {host_chips}.")
    return Gke(
        accelerator=accelerator,
        topology=topology,
        chips=host_chips,
        num_hosts=num_chips // host_chips,
        **common,
    )


def make_manifest(name, job):
    """The Kubernetes job of an xmanager job whose executor is a `Gke`."""
    executor, executable = job.executor, job.executable
    words = xm.merge_args(executable.args, job.args).to_list(utils.ARGV_ESCAPER)
    buckets = sorted({b for w in words for b in re.findall(BUCKET, w)})
    if len(buckets) > 1:
        raise Refused(f"A job can use one bucket; got {', '.join(buckets)}.")
    # The hosts of a slice are one run; jax finds the others by what GKE tells a pod.
    several = {"SIMEX_COORDINATOR": "auto"} if executor.num_hosts > 1 else {}
    is_tpu = bool(executor.topology)
    is_gpu = bool(executor.chips) and not is_tpu
    driver = {"LD_LIBRARY_PATH": NVIDIA_DRIVER} if is_gpu else {}
    environment = several | driver | dict(job.env_vars)
    resource = "google.com/tpu" if is_tpu else "nvidia.com/gpu"
    counts = {resource: str(executor.chips)} if executor.chips else None
    container = k8s.V1Container(
        name="simex",
        image=executable.image_path,
        args=words,
        env=[k8s.V1EnvVar(name=key, value=value) for key, value in environment.items()],
        # TPU hosts speak to each other there.
        ports=[k8s.V1ContainerPort(container_port=8471)] if is_tpu else None,
        resources=k8s.V1ResourceRequirements(requests=counts, limits=counts),
        volume_mounts=[
            k8s.V1VolumeMount(name="bucket", mount_path=f"/gcs/{bucket}")
            for bucket in buckets
        ],
    )
    pod = k8s.V1PodSpec(
        containers=[container],
        node_selector=_node_selector(executor),
        restart_policy="Never",
        service_account_name=executor.service_account,
        subdomain=SERVICE,
        termination_grace_period_seconds=120,  # to save after SIGTERM
        volumes=[_bucket_volume(bucket) for bucket in buckets],
    )
    annotations = {"gke-gcsfuse/volumes": "true"} if buckets else None
    return k8s.V1Job(
        api_version="batch/v1",
        kind="Job",
        metadata=k8s.V1ObjectMeta(name=name, labels=_labels(words)),
        spec=k8s.V1JobSpec(
            completion_mode="Indexed",
            completions=executor.num_hosts,
            parallelism=executor.num_hosts,
            backoff_limit=NUM_RETRIES * executor.num_hosts,
            pod_failure_policy=_fail_what_is_refused(),
            template=k8s.V1PodTemplateSpec(
                metadata=k8s.V1ObjectMeta(
                    labels={"service": SERVICE}, annotations=annotations
                ),
                spec=pod,
            ),
        ),
    )


def _labels(words):
    """By which the job that writes a workdir is found again."""
    where = words[words.index("--workdir") + 1]
    return {WORKDIR: hashlib.sha256(where.encode()).hexdigest()[:32]}


def refuse_running(jobs):
    """Two jobs that write one workdir would destroy it: nothing holds it for them."""
    batch = k8s.BatchV1Api(xm_kubernetes.client().api_client)
    for job in jobs:
        (label,) = make_manifest(job.name, job).metadata.labels.items()
        found = batch.list_namespaced_job("default", label_selector="=".join(label))
        for other in found.items:
            if other.status and other.status.active:
                name = other.metadata.name
                raise Refused(
                    f"The job {name} runs in the workdir of {job.name} already. Wait for "
                    f"it, or stop it: kubectl delete job/{name}"
                )


def _fail_what_is_refused():
    codes = k8s.V1PodFailurePolicyOnExitCodesRequirement(
        operator="In", values=[EXIT_REFUSED]
    )
    rule = k8s.V1PodFailurePolicyRule(action="FailJob", on_exit_codes=codes)
    return k8s.V1PodFailurePolicy(rules=[rule])


def as_yaml(manifest):
    """What `kubectl apply -f` would take."""
    plain = k8s.ApiClient(k8s.Configuration()).sanitize_for_serialization(manifest)
    return yaml.safe_dump(plain, sort_keys=False)


def _node_selector(executor):
    kind = "gke-tpu-accelerator" if executor.topology else "gke-accelerator"
    wanted = {
        f"cloud.google.com/{kind}": executor.accelerator,
        "cloud.google.com/gke-tpu-topology": executor.topology,
        "cloud.google.com/gke-spot": "true" if executor.is_spot else "",
    }
    return {key: value for key, value in wanted.items() if value}


def _bucket_volume(bucket):
    return k8s.V1Volume(
        name="bucket",
        csi=k8s.V1CSIVolumeSource(
            driver="gcsfuse.csi.storage.gke.io",
            volume_attributes={
                "bucketName": bucket,
                "mountOptions": "implicit-dirs,rename-dir-limit=200000",
            },
        ),
    )


async def _launch(unit, job_group):
    """xmanager calls this with the jobs of one experiment unit.

    It does not wait: xmanager's way of waiting never ends for a job that failed.
    """
    jobs = xm.job_operators.collect_jobs_by_filter(
        job_group, lambda job: isinstance(job.executor, Gke)
    )
    client = xm_kubernetes.client()
    _make_service(client.api_client)
    for job in jobs:
        name = xm_kubernetes.convert_to_valid_label(unit.get_full_job_name(job.name))
        manifest = make_manifest(name, job)
        batch = k8s.BatchV1Api(client.api_client)
        batch.create_namespaced_job(namespace="default", body=manifest)
        print(f"made; its log: kubectl logs --follow job/{name}", flush=True)
    return []


def _make_service(api_client):
    """The name service by which the hosts of a slice find each other."""
    core = k8s.CoreV1Api(api_client)
    found = core.list_namespaced_service(namespace="default").items
    if all(service.metadata.name != SERVICE for service in found):
        spec = k8s.V1ServiceSpec(selector={"service": SERVICE}, cluster_ip="None")
        body = k8s.V1Service(metadata=k8s.V1ObjectMeta(name=SERVICE), spec=spec)
        core.create_namespaced_service(namespace="default", body=body)
