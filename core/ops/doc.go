// Package ops tells whoever watches the relay how it is, over HTTP and without a
// token: whether it lives, whether it is ready and if not why, figures for
// Prometheus, and Go's profiles if the operator wants them.
//
//   - endpoint.go: the address, which may change while it runs
//   - server.go: what it answers
//   - ready.go: what makes the relay ready
//   - metrics.go: what is counted as it happens
//   - gauges.go: what is looked up when it is asked for
//   - process.go: what the plugins' processes take
//
// It knows nothing by itself: core gives it a Source and has it told what happens.
// No metric has a label for receivers or senders: what it answers does not grow with
// them.
package ops
