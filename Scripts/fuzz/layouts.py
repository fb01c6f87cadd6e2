"""An OCI layout around layers that are given as tars."""
import gzip
import hashlib
import json
import os
import subprocess

MEDIA = "application/vnd.oci.image."


def write(path, layers, packed=None):
    """Makes the layout `path` with one image, tag `t`; `packed` says how each layer is compressed: "", "+gzip" or "+zstd"."""
    def put(data):
        name = hashlib.sha256(data).hexdigest()
        with open(os.path.join(path, "blobs/sha256", name), "wb") as file:
            file.write(data)
        return {"digest": "sha256:" + name, "size": len(data)}

    def pack(data, how):
        if how == "+gzip":
            return gzip.compress(data, 1)
        if how == "+zstd":
            return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout
        return data

    os.makedirs(os.path.join(path, "blobs/sha256"))
    config = {"architecture": "amd64", "os": "linux", "rootfs": {
        "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]}}
    manifest = {"schemaVersion": 2, "mediaType": MEDIA + "manifest.v1+json",
                "config": dict(put(json.dumps(config).encode()), mediaType=MEDIA + "config.v1+json"),
                "layers": [dict(put(pack(layer, how)), mediaType=MEDIA + "layer.v1.tar" + how)
                           for layer, how in zip(layers, packed or [""] * len(layers))]}
    index = {"schemaVersion": 2, "manifests": [dict(
        put(json.dumps(manifest).encode()), mediaType=MEDIA + "manifest.v1+json",
        annotations={"org.opencontainers.image.ref.name": "t"})]}
    with open(os.path.join(path, "index.json"), "w") as file:
        json.dump(index, file)
    with open(os.path.join(path, "oci-layout"), "w") as file:
        file.write('{"imageLayoutVersion": "1.0.0"}')
