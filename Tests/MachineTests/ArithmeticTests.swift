import Foundation
import Testing

@testable import Machine

/// The parts of a machine that are arithmetic: clock, digest, statistics, names.
struct ArithmeticTests {
  @Test func scalingGoesThroughTwiceTheWidthAndSaturates() {
    #expect(scale(10, 3, 4) == 7)
    #expect(scale(0, .max, 1) == 0)
    #expect(scale(.max, 5, 5) == .max)
    #expect(scale(.max, 1_000_000_000, 2_000_000_000) == UInt64.max / 2)
    #expect(scale(.max, 2, 1) == .max)
    #expect(scale(1 << 63, 3, 1) == .max)
    #expect(scale(1 << 63, 2, 4) == 1 << 62)
  }

  @Test(arguments: [1_000_000, 999_999_937, 1_000_000_000, 2_400_000_000, 100_000_000_000] as [UInt64])
  func cyclesAndRealTimeFollowEachOther(rate: UInt64) {
    var keeper = ClockKeeper(cyclesPerSecond: rate, now: 5000)
    #expect(keeper.cycle(at: 5000) == 0)
    #expect(keeper.cycle(at: 0) == 0, "time before the start is the start")
    #expect(keeper.cycle(at: 5000 + 1_000_000_000) == rate)
    #expect(keeper.realTime(of: rate) == 1_000_005_000)
    // There and back loses less than one unit of the coarser clock.
    for real in stride(from: UInt64(5000), to: 10_000_000_000, by: 777_777_777) {
      let back = keeper.realTime(of: keeper.cycle(at: real))
      #expect(back <= real && real - back <= max(1, 1_000_000_000 / rate) + 1)
    }
    keeper.tie(cycle: 3 * rate, to: 50_000_000_000)
    #expect(keeper.cycle(at: 50_000_000_000) == 3 * rate)
    #expect(keeper.cycle(at: 51_000_000_000) == 4 * rate)
    #expect(keeper.realTime(of: 4 * rate) == 51_000_000_000)
  }

  func digest(_ body: (inout StateDigest) -> Void) -> String {
    var digest = StateDigest()
    body(&digest)
    return digest.finish()
  }

  /// FIPS 180-4's examples, and one more.
  @Test func digestsAreSHA256() {
    let abc = Array("abc".utf8)
    #expect(digest { _ in } == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(
      digest { digest in abc.withUnsafeBytes { digest.update($0) } }
        == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    // A word is eight bytes, the least first: "abcdefgh".
    #expect(
      digest { $0.update(0x6867_6665_6463_6261 as UInt64) } == "sha256:9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab")
    // Texts carry their length, so that neighbours cannot run together.
    #expect(
      digest {
        $0.update("ab")
        $0.update("c")
      }
        != digest {
          $0.update("a")
          $0.update("bc")
        })
  }

  /// Scripts depend on these names (Documentation/CommandLine.md).
  @Test func statisticsHaveTheKeysOfTheContract() throws {
    var statistics = Statistics()
    statistics.vbd = [Statistics.Disk(dev: "xvda")]
    statistics.vif = [Statistics.Network(dev: "eth0")]
    statistics.state_digest = "sha256:0"
    let object = try #require(try JSONSerialization.jsonObject(with: statistics.json()) as? [String: Any])
    let names = """
      paravane type engine clock timing cpu seed tsc_hz ended wall_seconds cpu_seconds guest_instructions guest_cycles idle_cycles
      guest_seconds mips memory exits hypercalls vbd vif state_digest
      """
    #expect(Set(names.split { $0 == " " || $0 == "\n" }.map(String.init)).isSubset(of: Set(object.keys)))
    #expect(Set((object["memory"] as? [String: Any] ?? [:]).keys) == ["guest_touched_bytes", "resident_bytes"])
    let exits = ["hypercall", "syscall", "exception", "privileged", "port", "mmio", "event"]
    #expect(Set((object["exits"] as? [String: Any] ?? [:]).keys).isSuperset(of: exits))
    #expect((object["vbd"] as? [[String: Any]])?.first?["read_requests"] as? Int == 0)
    #expect((object["vif"] as? [[String: Any]])?.first?["rx_packets"] as? Int == 0)
  }

  @Test func addressesAndUUIDs() {
    #expect(uuidText(Array(0..<16)) == "00010203-0405-0607-0809-0a0b0c0d0e0f")
    let address = macAddress(seed: 1, index: 0)
    #expect(address.count == 6 && Array(address[0..<3]) == [0x00, 0x16, 0x3E] && address[3] < 0x80)
    #expect(address == macAddress(seed: 1, index: 0))
    #expect(address != macAddress(seed: 1, index: 1) && address != macAddress(seed: 2, index: 0))
  }

  @Test func theDefaultsOfARun() {
    let options = RunOptions()
    #expect(options.memory == 512 && options.vcpus == 1 && options.clock == .virtual && options.cpu == "v3" && options.console == "stdio")
    #expect(options.startTime == 1_767_225_600_000_000_000, "2026-01-01T00:00:00Z")
  }
}
