"""A ResNet with torchvision's names, of any width, depth and either stem: what model.json's `architecture` describes."""
import torch
from torch import nn


def conv(c, k, side, stride):
    return nn.Conv2d(c, k, side, stride, side // 2, bias=False)


class Basic(nn.Module):
    widen = 1

    def __init__(self, c, k, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(c, k, 3, stride), nn.BatchNorm2d(k)
        self.conv2, self.bn2 = conv(k, k, 3, 1), nn.BatchNorm2d(k)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or c != k:
            self.downsample = nn.Sequential(conv(c, k, 1, stride), nn.BatchNorm2d(k))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    widen = 4

    def __init__(self, c, k, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(c, k, 1, 1), nn.BatchNorm2d(k)
        self.conv2, self.bn2 = conv(k, k, 3, stride), nn.BatchNorm2d(k)  # the stride is on the 3x3, as torchvision has it
        self.conv3, self.bn3 = conv(k, 4 * k, 1, 1), nn.BatchNorm2d(4 * k)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or c != 4 * k:
            self.downsample = nn.Sequential(conv(c, 4 * k, 1, stride), nn.BatchNorm2d(4 * k))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, arch):
        super().__init__()
        block = {"basic": Basic, "bottleneck": Bottleneck}[arch["block"]]
        width, c = arch["width"], arch["width"]
        imagenet = arch["stem"] == "imagenet"
        self.conv1 = conv(arch["input"][2], c, 7 if imagenet else 3, 2 if imagenet else 1)
        self.bn1, self.relu = nn.BatchNorm2d(c), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if imagenet else nn.Identity()
        self.stages = len(arch["blocks"])
        for s, count in enumerate(arch["blocks"]):
            k, blocks = width << s, []
            for i in range(count):
                blocks.append(block(c, k, 2 if s > 0 and i == 0 else 1))
                c = k * block.widen
            setattr(self, f"layer{s + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(c, arch["classes"])
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for s in range(self.stages):
            x = getattr(self, f"layer{s + 1}")(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


DEMO = {"block": "basic", "blocks": [1, 1, 1], "width": 16, "stem": "small", "input": [28, 28, 1], "classes": 10}
RESNET18 = {"block": "basic", "blocks": [2, 2, 2, 2], "width": 64, "stem": "small", "input": [32, 32, 3], "classes": 10}
