import Testing

@testable import Configuration

/// Disks in the syntax of xl-disk-configuration(5), and the numbers of xen-vbd-interface(7).
struct DiskSpecificationTests {
  func disk(_ text: String) throws -> DiskSpecification { try DiskSpecification(parsing: text) }

  @Test func positionsAndKeysSayTheSame() throws {
    let byPosition = try disk("/images/a.qcow2,qcow2,xvda,ro")
    #expect(byPosition.target == "/images/a.qcow2")
    #expect(byPosition.format == .qcow2)
    #expect(byPosition.device == "xvda")
    #expect(byPosition.readOnly && !byPosition.isCDROM && byPosition.discard)
    #expect(try disk("format=qcow2, vdev=xvda, access=r, target=/images/a.qcow2") == byPosition)
    #expect(try disk("/images/a.qcow2 , qcow2 , xvda , r") == byPosition)
  }

  @Test func whatIsLeftOutHasADefault() throws {
    let plain = try disk("a.img,,xvda")
    #expect(plain.format == .raw && !plain.readOnly)
    #expect(try disk("a.img,,xvda,").readOnly == false)
    #expect(try disk("a.img,aio,xvda,w").format == .raw)
  }

  @Test func theTargetIsLastAndMayHoldCommas() throws {
    let named = try disk("vdev=xvdb,target=/a,b=c,d")
    #expect(named.target == "/a,b=c,d" && named.device == "xvdb")
  }

  @Test func flagsAndOldForms() throws {
    #expect(try disk("a,raw,xvda,rw,no-discard").discard == false)
    #expect(try disk("a,raw,xvda,rw,no-discard,discard,direct-io-safe").discard)
    #expect(try disk("phy:/dev/vg/lv,,hda,w").target == "/dev/vg/lv")
    #expect(try disk("qcow2:a.q,,hda,w").format == .qcow2)
    #expect(try disk("a,raw,xvda:disk,rw").device == "xvda")
    #expect(try disk("a,raw,xvda,rw,backendtype=qdisk,backend=0").device == "xvda")
  }

  @Test func drivesForCDs() throws {
    for text in ["a.iso,raw,hdc,cdrom", "a.iso,raw,hdc:cdrom", "a.iso,raw,hdc,devtype=cdrom", "a.iso,raw,vdev=hdc,cdrom"] {
      let drive = try disk(text)
      #expect(drive.isCDROM && drive.readOnly && drive.device == "hdc" && drive.target == "a.iso", "\(text)")
    }
    #expect(try disk(",raw,hdc,cdrom").target == "")
  }

  @Test(
    arguments: [
      ("xvda", 202 << 8), ("xvda1", 202 << 8 | 1), ("xvdb", 202 << 8 | 16), ("xvdp15", 202 << 8 | 255), ("xvda16", 1 << 28 | 16),
      ("xvdq", 1 << 28 | 16 << 8), ("xvdz3", 1 << 28 | 25 << 8 | 3), ("xvdaa", 1 << 28 | 26 << 8), ("xvdzz255", 1 << 28 | 701 << 8 | 255),
      ("hda", 3 << 8), ("hdb5", 3 << 8 | 64 | 5), ("hdc", 22 << 8), ("hdd63", 22 << 8 | 64 | 63), ("sda", 8 << 8), ("sdp15", 8 << 8 | 255),
      ("51712", 51712), ("0", 0),
    ] as [(String, UInt32)])
  func deviceNumbers(name: String, number: UInt32) throws {
    #expect(try disk("a,raw,\(name),rw").virtualDevice == number)
  }

  @Test(arguments: [
    "", "a.img", "a.img,raw", "a.img,raw,,rw", "a,raw,vda,rw", "a,raw,xvd,rw", "a,raw,xvd1,rw", "a,raw,xvda0,rw", "a,raw,xvda256,rw",
    "a,raw,xvdaaa,rw", "a,raw,xvdA,rw", "a,raw,hde,rw", "a,raw,hda64,rw", "a,raw,sdq,rw", "a,raw,sda16,rw", "a,raw,xvda1x,rw",
    "a,raw,xvda-1,rw", "a,raw,xvda+1,rw", "a,raw,+5,rw", "a,raw,4294967296,rw", "a,raw,xvda99999999999,rw", "a,vmdk,xvda,rw",
    "a,RAW,xvda,rw",
    "a,raw,xvda,rx", "a,raw,xvda,rw,more", "a,raw,xvda,rw,key=value", ",raw,xvda,rw", "vdev=xvda", "vdev=xvda,target=",
    "a,raw,xvda,rw,devtype=tape", "a,raw,xvda,rw,backendtype=vhd", "a,raw,xvda,rw,backend=other", "a,raw,xvda,access=",
  ])
  func refusedForms(text: String) throws {
    let error = #expect(throws: ConfigurationError.self, "\(text)") { try disk(text) }
    #expect(error?.message.isEmpty == false && error?.message.contains("\n") == false)
  }
}
