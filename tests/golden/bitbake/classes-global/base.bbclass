# SPDX-License-Identifier: MIT
addtask fetch
addtask unpack after do_fetch
addtask patch after do_unpack
addtask configure after do_patch
addtask compile after do_configure
addtask install after do_compile
addtask build after do_install

python do_fetch() {
    bb.note("fetch")
}
python do_unpack() {
    bb.note("unpack")
}
python do_patch() {
    bb.note("patch")
}
do_configure() {
    :
}
do_compile() {
    :
}
do_install() {
    :
}
do_build() {
    :
}
oe_runmake_call() {
    make "$@"
}

# Parts of oe.utils and cml1.bbclass
def find_cfgs(d):
    return [os.path.join(d.getVar("UNPACKDIR"), uri[len("file://"):])
            for uri in d.getVar("SRC_URI").split() if uri.endswith(".cfg")]

# Names of further tasks, so that one that is added can be placed behind or before them
addtask prepare_recipe_sysroot after do_fetch before do_configure
addtask populate_lic after do_patch before do_build
addtask populate_sysroot after do_install before do_build
addtask package after do_install
addtask packagedata after do_package
addtask deploy after do_compile
do_prepare_recipe_sysroot() {
    :
}
do_populate_lic() {
    :
}
do_populate_sysroot() {
    :
}
do_package() {
    :
}
do_packagedata() {
    :
}
do_deploy() {
    :
}
