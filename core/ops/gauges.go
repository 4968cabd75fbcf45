package ops

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"mpush/core/engine"
)

// Source is what the core knows of itself. Its functions may be called from any
// goroutine.
type Source struct {
	// Ping returns when the engine has answered, and the disk what it was given before.
	Ping func(context.Context) error
	// Survey asks the engine how the routes are.
	Survey func(context.Context) (engine.Surveyed, error)
	// Channels are those that are switched on.
	Channels func() []Channel
	Disk     func() Disk
}

// Channel is one channel's process.
type Channel struct {
	Name      string
	State     string
	Running   bool
	Error     string // why it does not run, or its own complaint
	PID       int    // 0: none
	Memory    int64  // bytes that its processes have resident; 0: not known
	MaxMemory int64  // that they may have; 0: any
}

// Disk is what the data directory has of the disk, in bytes; negative: not known.
type Disk struct {
	Store   int64 // the messages' files
	Free    int64
	Reserve int64 // that is to stay free
	Low     bool  // it does not: nothing is accepted
}

// gauges are asked for with each scrape.
type gauges struct {
	source    *Source
	accepts   func() Part
	processes processes

	queue, receivers                        *prometheus.Desc
	up, channelQueue, routes, inFlight      *prometheus.Desc
	memory, memoryLimit, cpu, files         *prometheus.Desc
	store, diskFree, diskReserve, accepting *prometheus.Desc
}

// Watch has the metrics tell what the source knows, too. Call it once.
func (m *Metrics) Watch(source *Source) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m.source = source
	m.registry.MustRegister(&gauges{
		source:       source,
		accepts:      m.accepts,
		queue:        desc("mpush_queue_messages", "Messages that wait in all receivers' queues or are on their way, one for each receiver."),
		receivers:    desc("mpush_receivers", "Known receivers."),
		up:           desc("mpush_plugin_up", "1 if the channel runs, else 0.", "channel"),
		channelQueue: desc("mpush_channel_queue_messages", "Messages that wait for receivers that have a route on the channel.", "channel"),
		routes:       desc("mpush_routes", "Routes that are up: connected receivers, or addresses that are delivered to.", "channel"),
		inFlight:     desc("mpush_in_flight", "Messages that the channel holds and has not settled.", "channel"),
		memory:       desc("mpush_plugin_resident_memory_bytes", "Memory that the plugin and the processes it has started have resident.", "channel"),
		memoryLimit:  desc("mpush_plugin_memory_limit_bytes", "Memory beyond which the plugin is restarted; absent without a limit.", "channel"),
		cpu:          desc("mpush_plugin_cpu_seconds_total", "CPU time that the plugin's processes have used, one after the other.", "channel"),
		files:        desc("mpush_plugin_open_fds", "Files that the plugin's process has open.", "channel"),
		store:        desc("mpush_store_bytes", "Size of the files that hold messages and history."),
		diskFree:     desc("mpush_disk_free_bytes", "Free space on the disk of the data directory."),
		diskReserve:  desc("mpush_disk_reserve_bytes", "Space that is to stay free: with less, nothing is accepted."),
		accepting:    desc("mpush_store_accepting", "1 if the store accepts messages, 0 if the disk is almost full or the last transaction failed."),
	})
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		g.queue, g.receivers, g.up, g.channelQueue, g.routes, g.inFlight, g.memory, g.memoryLimit, g.cpu, g.files,
		g.store, g.diskFree, g.diskReserve, g.accepting,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector. What is not known is left out.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	channels := g.source.Channels()
	survey, err := g.source.Survey(ctx)
	shares := make(map[string]engine.Share)
	for _, share := range survey.Channels {
		shares[share.Channel] = share
	}
	if err == nil {
		gauge(g.queue, float64(survey.Queued))
		gauge(g.receivers, float64(survey.Receivers))
	}
	used := g.processes.look(channels)
	for i, c := range channels {
		gauge(g.up, number(c.Running), c.Name)
		if err == nil {
			share := shares[c.Name]
			gauge(g.channelQueue, float64(share.Queued), c.Name)
			gauge(g.routes, float64(share.Up), c.Name)
			gauge(g.inFlight, float64(share.InFlight), c.Name)
		}
		if c.Memory > 0 {
			gauge(g.memory, float64(c.Memory), c.Name)
		}
		if c.MaxMemory > 0 {
			gauge(g.memoryLimit, float64(c.MaxMemory), c.Name)
		}
		if used != nil {
			out <- prometheus.MustNewConstMetric(g.cpu, prometheus.CounterValue, used[i].cpu, c.Name)
			if used[i].files >= 0 {
				gauge(g.files, float64(used[i].files), c.Name)
			}
		}
	}
	disk := g.source.Disk()
	if disk.Store >= 0 {
		gauge(g.store, float64(disk.Store))
	}
	if disk.Free >= 0 {
		gauge(g.diskFree, float64(disk.Free))
	}
	gauge(g.diskReserve, float64(disk.Reserve))
	gauge(g.accepting, number(g.accepts().Ready))
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
