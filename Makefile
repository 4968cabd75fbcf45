.DEFAULT_GOAL := help
.PHONY: help build test race bench proto lint ci

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/mpush
	go build -trimpath -o bin/mpush ./cmd/mpush

test: ## run all tests
	go test ./...

race: ## run all tests under the race detector (needs a C compiler)
	go test -race ./...

bench: ## measure the whole pipeline over loopback, through real processes
	go test -run '^$$' -bench Pipeline ./test/bench

proto: ## generate sdk/pluginpb and docs/plugins/protocol.md from plugin.proto, and the examples' copies
	go generate ./sdk/pluginpb
	go test -run Copies ./test/foreign -update

lint: ## gofmt, go vet, staticcheck, the import rules
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	go vet ./...
	go tool staticcheck ./...
	go test -count=1 .

ci: ## everything that a change must pass
	.ci/run
