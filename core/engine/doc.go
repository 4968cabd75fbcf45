// Package engine owns routing and ack state: which receivers there are, which
// routes lead to them, what is queued, leased, resent, acknowledged, and what
// each waiting sender is told.
//
// It is a deterministic state machine. Events and the time come in through
// Step, effects come out; there is no I/O, no goroutine, no clock and no
// dependence on map order in it. The relay feeds it and carries its effects
// out. What must be durable leaves as a Write; the engine goes on with it when
// the relay reports Written. Queues stay in the store: the engine holds a
// bounded window of each live route and asks for more with Load.
//
// It leaves to others: what a message means to a channel (plugins), who may do
// what (link, auth), and how records are kept (store).
package engine
