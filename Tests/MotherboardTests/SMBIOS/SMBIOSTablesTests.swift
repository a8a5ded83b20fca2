import Foundation
import Testing

@testable import Motherboard

@Suite struct SMBIOSTablesTests {
  @Test(arguments: [UInt64(512) << 20, 40 << 30]) func theStructuresAreWalkedToTheEnd(_ memory: UInt64) throws {
    let platform = PlatformDescription(memory: MemoryMap(bytes: memory), processors: 2)
    let made = SMBIOSTables(platform, uuid: Array(0..<16), version: "1.2.3")
    let entry = made.entryPoint
    #expect(entry.count == 31)
    #expect(entry.reduce(0, &+) == 0)
    #expect(entry[16...].reduce(0, &+) == 0)
    let bytes = made.structures
    #expect(Int(entry[0x16]) | Int(entry[0x17]) << 8 == bytes.count)
    var types: [UInt8] = []
    var at = 0
    while at < bytes.count {
      types.append(bytes[at])
      let lengths: [UInt8: UInt8] = [1: 27, 3: 22, 4: 42, 16: 23, 17: 34, 19: 31, 32: 11, 127: 4]
      #expect(bytes[at + 1] == lengths[bytes[at]], "type \(bytes[at])")
      if bytes[at] == 1 { #expect(Array(bytes[at + 8..<at + 24]) == [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]) }
      at += Int(bytes[at + 1])
      while bytes[at] != 0 || bytes[at + 1] != 0 { at += 1 }
      at += 2
    }
    #expect(types == [1, 3, 4, 4, 16, 17, 19] + (memory > 3 << 30 ? [19] : []) + [32, 127])
    #expect(Int(entry[0x1C]) == types.count)
  }
}
