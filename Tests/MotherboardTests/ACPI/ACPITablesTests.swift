import Foundation
import Testing

@testable import Motherboard

@Suite struct ACPITablesTests {
  private static let platform = PlatformDescription(memory: MemoryMap(bytes: 5 << 30), processors: 3, serialPorts: [.com1, .com2])

  private func number(_ bytes: [UInt8], _ offset: Int, _ size: Int = 4) -> Int {
    (0..<size).reduce(0) { $0 | Int(bytes[offset + $1]) << ($1 * 8) }
  }

  private func text(_ bytes: [UInt8], _ offset: Int) -> String {
    String(decoding: bytes[offset..<offset + 56].prefix { $0 != 0 }, as: UTF8.self)
  }

  /// Does what SeaBIOS does with the script: the two files' bytes at made-up addresses.
  private func link(_ tables: ACPITables) throws -> (tables: [UInt8], root: [UInt8], base: Int) {
    var files = [ACPITables.tablesFile: tables.tables, ACPITables.rootPointerFile: tables.rootPointer]
    var addresses: [String: Int] = [:]
    #expect(tables.script.count == 4096)
    for command in stride(from: 0, to: tables.script.count, by: 128) {
      let file = text(tables.script, command + 4)
      switch number(tables.script, command) {
      case 1:
        let alignment = number(tables.script, command + 60)
        #expect(alignment & (alignment - 1) == 0)
        addresses[file] = tables.script[command + 64] == 1 ? 0x1FFE_0000 : 0xF6000
      case 2:
        let source = text(tables.script, command + 60)
        let at = number(tables.script, command + 116)
        #expect(tables.script[command + 120] == 4)
        var bytes = try #require(files[file])
        let pointed = number(bytes, at)
        #expect(pointed < (files[source]?.count ?? 0))
        let address = pointed + (try #require(addresses[source]))
        for index in 0..<4 { bytes[at + index] = UInt8(truncatingIfNeeded: address >> (index * 8)) }
        files[file] = bytes
      case 3:
        let at = number(tables.script, command + 60)
        let start = number(tables.script, command + 64)
        var bytes = try #require(files[file])
        let sum = bytes[start..<start + number(tables.script, command + 68)].reduce(UInt8(0), &+)
        bytes[at] &-= sum
        files[file] = bytes
      default: #expect(tables.script[command..<command + 128].allSatisfy { $0 == 0 })
      }
    }
    return (try #require(files[ACPITables.tablesFile]), try #require(files[ACPITables.rootPointerFile]), 0x1FFE_0000)
  }

  @Test func thePointersLeadToTablesThatAddUpToZero() throws {
    let made = ACPITables(Self.platform)
    let (bytes, root, base) = try link(made)
    #expect(root.count == 20)
    #expect(root.reduce(0, &+) == 0)
    #expect(String(decoding: root[..<8], as: UTF8.self) == "RSD PTR ")
    func table(_ address: Int, _ signature: String) -> [UInt8] {
      let at = address - base
      let table = Array(bytes[at..<at + number(bytes, at + 4)])
      #expect(String(decoding: table[..<4], as: UTF8.self) == signature)
      if signature != "FACS" { #expect(table.reduce(0, &+) == 0, "\(signature)") }
      return table
    }
    let rsdt = table(number(root, 16), "RSDT")
    #expect(rsdt.count == 36 + 4 * 4)
    let fadt = table(number(rsdt, 36), "FACP")
    #expect(fadt.count == 116)
    #expect(number(fadt, 36) % 64 == 0)
    #expect(table(number(fadt, 36), "FACS").count == 64)
    _ = table(number(fadt, 40), "DSDT")
    #expect([56, 64, 76, 80, 48].map { number(fadt, $0) } == [0x600, 0x604, 0x608, 0xAFE0, 0xB2])
    #expect(number(fadt, 46, 2) == 9)
    let madt = table(number(rsdt, 40), "APIC")
    #expect(madt.count == 44 + 3 * 8 + 12 + 5 * 10 + 6)
    #expect(table(number(rsdt, 44), "HPET").count == 56)
    #expect(table(number(rsdt, 48), "WAET").count == 40)
    var without = Self.platform
    without.hasHPET = false
    #expect(ACPITables(without).places.map(\.signature) == ["FACS", "DSDT", "FACP", "APIC", "WAET", "RSDT"])
  }

  @Test func theRoutesAreTheBussOwn() throws {
    let namespace = Self.platform.namespace
    for (slot, pin, request) in [(1, 0, 9), (1, 1, 10), (2, 0, 10), (3, 0, 11), (3, 1, 11), (3, 2, 10), (31, 3, 10)] {
      let route = AML.package([
        AML.integer(UInt32(slot) << 16 | 0xFFFF), AML.integer(UInt32(pin)), AML.integer(0), AML.integer(UInt32(request)),
      ])
      #expect(namespace.firstRange(of: route) != nil, "slot \(slot) pin \(pin)")
    }
  }

  @Test func termsAreEncodedAsTheSpecificationHasThem() {
    #expect(AML.eisa("PNP0A03") == [0x0C, 0x41, 0xD0, 0x0A, 0x03])
    #expect(AML.path("\\_SB.PCI0") == [0x5C, 0x2E] + Array("_SB_PCI0".utf8))
    #expect(AML.path("A.B.C") == [0x2F, 3] + Array("A___B___C___".utf8))
    #expect(AML.integer(0x1234) == [0x0B, 0x34, 0x12])
    for (count, head) in [
      (62, [63]), (63, [0x41, 0x04]), (4093, [0x4F, 0xFF]), (4094, [0x81, 0x00, 0x01]), (1 << 20, [0xC4, 0x00, 0x00, 0x01]),
    ] as [(Int, [UInt8])] {
      #expect(Array(AML.sized([UInt8](repeating: 0, count: count)).prefix(head.count)) == head, "\(count)")
    }
    #expect(AML.package([]) == [0x12, 2, 0])
  }

  /// Each table is taken apart and put together again by ACPICA's compiler, to the same bytes and without a warning.
  @Test(.enabled(if: Tool.has("iasl"), "iasl (acpica-tools) is not installed"), arguments: [UInt64(256) << 20, 5 << 30])
  func acpicaReadsWhatIsWritten(_ memory: UInt64) throws {
    let iasl = try #require(Tool("iasl"))
    var platform = Self.platform
    platform.memory = MemoryMap(bytes: memory)
    let made = ACPITables(platform)
    let (bytes, _, _) = try link(made)
    try Tool.inDirectory { directory in
      for (signature, range) in made.places where signature != "RSDT" {
        // The pointers are checked elsewhere; here the DSDT is a file of its own.
        let table = Array(bytes[range])
        try Data(table).write(to: directory.appending(path: "\(signature).aml"))
        let read = try iasl.run(["-d", "\(signature).aml"], in: directory)
        #expect(read.status == 0, "\(read.output)")
        let written = try iasl.run(["-p", "again", "\(signature).dsl"], in: directory)
        #expect(written.status == 0 && written.output.contains("0 Errors"), "\(signature): \(written.output)")
        if signature == "DSDT" { #expect(written.output.contains("0 Warnings, 0 Remarks"), "\(written.output)") }
        let again = [UInt8](try Data(contentsOf: directory.appending(path: "again.aml")))
        // But for checksum and creator.
        #expect(again.dropFirst(36) == table.dropFirst(36), "\(signature)")
        #expect(again.prefix(9) == table.prefix(9), "\(signature)")
      }
    }
  }
}
