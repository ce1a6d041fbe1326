// The definitions of Flux's sources. Nothing of this module is built; its files are read.
module dispersed-operator/devenv/flux/sources

go 1.26.0

require github.com/fluxcd/source-controller v1.9.0
