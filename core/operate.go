package core

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"mpush/core/control"
	"mpush/core/engine"
	"mpush/core/relay"
	"mpush/core/supervisor"
)

// operate does what goes on beside the traffic while the relay runs: it answers
// the operator, tidies the history and watches the disk. It begins at once. The
// operator is answered until hangUp is called, also while channels drain; wait
// waits for the end of the rest after ctx has ended.
func (c *Core) operate(ctx context.Context) (hangUp, wait func(), err error) {
	desk, err := c.relay.Desk(ctx)
	if err != nil {
		return nil, nil, err
	}
	listener, err := control.Listen(c.options.DataDir)
	if err != nil {
		return nil, nil, err
	}
	if err := c.openOps(desk); err != nil {
		_ = listener.Close()
		return nil, nil, err
	}
	server := control.Server{
		Store: c.store, Desk: desk, Channels: c.channels, Lend: c.lend, Log: c.log,
		Counts: func() (accepted, acked uint64) {
			stats := c.relay.Stats()
			return stats.Accepted, stats.Acked
		},
		Forgotten: c.board.Forget, Version: c.options.Version,
	}
	var answering, running sync.WaitGroup
	asking, stop := context.WithCancel(context.WithoutCancel(ctx))
	answering.Go(func() {
		if err := server.Serve(asking, listener); err != nil {
			c.log.Error("the operator's commands are not answered any more", "err", err)
		}
	})
	running.Go(func() { c.relay.Keep(ctx, c.store, c.keeping) })
	running.Go(func() { c.watchDisk(ctx) })
	running.Go(func() { c.watchTokens(ctx) })
	hangUp = func() {
		stop()
		answering.Wait()
	}
	return hangUp, func() {
		running.Wait()
		c.endpoint.Close()
	}, nil
}

// keeping is for how long the configuration in force keeps things.
func (c *Core) keeping() relay.Keeping {
	cfg := c.inForce()
	return relay.Keeping{History: cfg.HistoryKeep, ForgetAfter: cfg.Limits.ForgetAfter}
}

// channels are the channels for the operator: those that run, and after them
// those that are switched off.
func (c *Core) channels() []control.Channel {
	statuses, cfg := c.supervisor.Status(), c.inForce()
	var groups []int
	for _, s := range statuses {
		if s.PID != 0 {
			groups = append(groups, s.PID)
		}
	}
	memory := supervisor.Memory(groups)
	var channels []control.Channel
	for _, s := range statuses {
		channel := control.Channel{
			Name: s.Channel, Version: s.Version, State: string(s.State), Since: control.At(s.Since), PID: s.PID, Restarts: s.Restarts,
			Endpoints: s.Endpoints, Error: s.LastError, Unhealthy: s.Unhealthy, Misconduct: s.Misconduct, Memory: memory[s.PID],
		}
		for _, known := range cfg.Channels {
			if known.Name == s.Channel {
				channel.Bundled, channel.Pinned = known.Bundled, known.Bundled || known.SHA256 != ""
			}
		}
		channels = append(channels, channel)
	}
	for _, off := range cfg.Channels {
		if !off.Enabled && !slices.ContainsFunc(channels, func(c control.Channel) bool { return c.Name == off.Name }) {
			channels = append(channels, control.Channel{
				Name: off.Name, Bundled: off.Bundled, Pinned: off.Bundled || off.SHA256 != "", State: control.Disabled,
			})
		}
	}
	return channels
}

// diskEvery is how often the free space is looked at.
const diskEvery = time.Second

// watchDisk tells the engine when the disk is almost full, and when it is no
// more: with a tenth to spare, so that it does not go to and fro.
func (c *Core) watchDisk(ctx context.Context) {
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	low := false
	for {
		reserve := c.inForce().Limits.DiskReserve
		free, err := freeSpace(c.options.DataDir)
		now := err == nil && reserve > 0 && (free < reserve || low && free < reserve+reserve/10)
		if now != low {
			low = now
			c.diskLow.Store(low)
			// First, so that it holds for what is sent after the line in the log.
			if err := c.relay.Submit(ctx, &engine.DiskLow{Low: low}); err != nil {
				return
			}
			if low {
				c.log.Error("the disk of the data directory is almost full: messages are refused until there is space",
					"limit", "limits.diskReserve", "free", fmt.Sprint(free>>20, " MiB"), "reserve", fmt.Sprint(reserve>>20, " MiB"))
			} else {
				c.log.Info("the disk of the data directory has space again: messages are accepted")
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
