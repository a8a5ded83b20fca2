import Foundation
import HostLinks
import Storage

/// What `--stats` writes: the keys are a contract.
public struct Statistics: Encodable, Sendable {
  public struct Memory: Encodable, Sendable {
    public var guest_touched_bytes: UInt64 = 0
    public var resident_bytes: UInt64 = 0
  }
  public struct Exits: Encodable, Sendable {
    public var hypercall: UInt64 = 0
    public var syscall: UInt64 = 0
    public var exception: UInt64 = 0
    public var privileged: UInt64 = 0
    public var port: UInt64 = 0
    public var mmio: UInt64 = 0
    public var event: UInt64 = 0
  }
  public struct Disk: Encodable, Sendable {
    public var dev: String
    public var read_bytes: UInt64 = 0
    public var write_bytes: UInt64 = 0
    public var read_requests: UInt64 = 0
    public var write_requests: UInt64 = 0
    public var flushes: UInt64 = 0
  }
  public struct Network: Encodable, Sendable {
    public var dev: String
    public var rx_bytes: UInt64 = 0
    public var tx_bytes: UInt64 = 0
    public var rx_packets: UInt64 = 0
    public var tx_packets: UInt64 = 0
  }

  public struct Translator: Encodable, Sendable {
    public var blocks: UInt64 = 0
    public var bytes: UInt64 = 0
    public var flushes: UInt64 = 0
  }

  /// How busy the parts of the processor were that a guest cannot see.
  public struct ProcessorWork: Encodable, Sendable {
    public var runs: UInt64 = 0
    public var jump_hits: UInt64 = 0
    public var block_lookups: UInt64 = 0
    public var translated_entries: UInt64 = 0
    public var interpreted_blocks: UInt64 = 0
    public var crossing_instructions: UInt64 = 0
    public var young_blocks: UInt64 = 0
    public var refused_blocks: UInt64 = 0
    public var tlb_walks: UInt64 = 0
    public var tlb_data_fills: UInt64 = 0
    public var tlb_fetch_fills: UInt64 = 0
    public var tlb_fetch_evictions: UInt64 = 0
    public var tlb_selects: UInt64 = 0
    public var tlb_new_sets: UInt64 = 0
    public var tlb_inherited_sets: UInt64 = 0
    public var tlb_flushes: UInt64 = 0
    public var tlb_table_drops: UInt64 = 0
    public var tlb_wide_drops: UInt64 = 0
    public var jump_clears: UInt64 = 0
    public var blocks_decoded: UInt64 = 0
    public var code_flushes: UInt64 = 0
    public var code_pages_dropped: UInt64 = 0
    public var translated_pages_dropped: UInt64 = 0
  }

  public var paravane = "0.1.0"
  public var type = "pv"
  public var engine = "interpreter"
  public var clock = "virtual"
  public var timing = "plain"
  public var cpu = "v3"
  public var seed: UInt64 = 0
  public var tsc_hz: UInt64 = 0
  public var ended = "poweroff"
  public var wall_seconds = 0.0
  public var cpu_seconds = 0.0
  public var guest_instructions: UInt64 = 0
  public var guest_cycles: UInt64 = 0
  public var idle_cycles: UInt64 = 0
  public var guest_seconds = 0.0
  public var mips = 0.0
  public var memory = Memory()
  public var exits = Exits()
  public var hypercalls: [String: UInt64] = [:]
  public var translator: Translator?
  public var processor = ProcessorWork()
  public var vbd: [Disk] = []
  public var vif: [Network] = []
  public var state_digest: String?

  public init() {}

  /// The JSON text, keys sorted.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(self)
  }
}

extension Statistics.Disk {
  init(_ counts: BlockStatistics) {
    self.init(
      dev: counts.dev, read_bytes: counts.readBytes, write_bytes: counts.writeBytes, read_requests: counts.readRequests,
      write_requests: counts.writeRequests, flushes: counts.flushes)
  }
}

extension Statistics.Network {
  init(_ counts: NetworkStatistics) {
    self.init(
      dev: counts.dev, rx_bytes: counts.rxBytes, tx_bytes: counts.txBytes, rx_packets: counts.rxPackets, tx_packets: counts.txPackets)
  }
}
