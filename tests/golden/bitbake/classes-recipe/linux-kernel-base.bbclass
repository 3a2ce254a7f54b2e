# SPDX-License-Identifier: MIT
def get_kernelversion_file(p):
    with open(os.path.join(p, "kernel-abiversion")) as stream:
        return stream.read().strip()
