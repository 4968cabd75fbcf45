package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"mpush/core/config"
	"mpush/core/engine"
	"mpush/core/ops"
	"mpush/core/relay"
	"mpush/core/supervisor"
)

// openOps begins to tell how the relay is, at the address that is configured.
func (c *Core) openOps(desk *relay.Desk) error {
	source := &ops.Source{
		Ping: c.relay.Probe,
		Survey: func(ctx context.Context) (engine.Surveyed, error) {
			body, err := desk.Ask(ctx, func(link engine.LinkID, request engine.RequestID) engine.Event {
				return &engine.Survey{Link: link, Request: request}
			})
			surveyed, _ := body.(engine.Surveyed)
			return surveyed, err
		},
		Channels: c.watched,
		Disk:     c.disk,
	}
	c.metrics.Watch(source)
	server := ops.Server{Source: source, Metrics: c.metrics, Pprof: func() bool { return c.inForce().Ops.Pprof }, Log: c.log}
	c.endpoint = &ops.Endpoint{Handler: server.Handler(), Log: c.log}
	return c.moveOps(c.options.Config)
}

// moveOps has the endpoint be where the configuration says. The default address
// may be another relay's on this machine: the relay goes on without it then.
func (c *Core) moveOps(cfg *config.Config) error {
	err := c.endpoint.Listen(cfg.Ops.Listen)
	switch {
	case err == nil:
		return nil
	case cfg.Ops.Explicit && errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("ops.listen: %s is taken by another process: choose another address, or \"\" for none", cfg.Ops.Listen)
	case cfg.Ops.Explicit:
		return fmt.Errorf("ops.listen: %w", err)
	}
	_ = c.endpoint.Listen("") // the one before, perhaps public, is not configured any more; nowhere never fails
	c.log.Warn("health and metrics are not served: set ops.listen to a free address, or to \"\"", "err", err)
	return nil
}

// watched are the channels that are switched on. One that is not among the
// supervisor's yet is about to start.
func (c *Core) watched() []ops.Channel {
	statuses := make(map[string]supervisor.Status)
	var groups []int
	for _, s := range c.supervisor.Status() {
		statuses[s.Channel] = s
		if s.PID != 0 {
			groups = append(groups, s.PID)
		}
	}
	memory := supervisor.Memory(groups)
	var channels []ops.Channel
	for _, known := range c.inForce().Channels {
		if !known.Enabled {
			continue
		}
		s, there := statuses[known.Name]
		if !there {
			s.State = supervisor.Starting
		}
		channel := ops.Channel{
			Name: known.Name, State: string(s.State), Running: s.State == supervisor.Running, Error: s.Unhealthy,
			PID: s.PID, Memory: memory[s.PID], MaxMemory: known.MaxMemory,
		}
		if !channel.Running {
			channel.Error = s.LastError
		}
		channels = append(channels, channel)
	}
	return channels
}

// disk is what the data directory takes and leaves.
func (c *Core) disk() ops.Disk {
	d := ops.Disk{Store: -1, Free: -1, Reserve: c.inForce().Limits.DiskReserve, Low: c.diskLow.Load()}
	if free, err := freeSpace(c.options.DataDir); err == nil {
		d.Free = free
	}
	for _, name := range []string{"mpush.db", "mpush.db-wal"} {
		if info, err := os.Stat(filepath.Join(c.options.DataDir, name)); err == nil {
			d.Store = max(d.Store, 0) + info.Size()
		}
	}
	return d
}
